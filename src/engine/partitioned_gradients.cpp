#include "engine/gradient_buckets.hpp"
#include "engine/host_shards.hpp"
#include "engine/reduction.hpp"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace tessera::engine {
namespace {

// One rank sends nothing.
at::ScalarType arriving_type(const Context& context) {
  return context.one_rank() ? context.options.compute : context.options.wire;
}

// ZeRO-2 and offload: a rank keeps its shard alone, on the device or, where the bucket's state is the host's, there.
// Whole buckets exist in a small ring, until they are reduce-scattered.
class PartitionedGradients final : public GradientBuckets {
 public:
  PartitionedGradients(const Context& context, HostShardWork host_work)
      : context_(context), outgoing_(context, arriving_type(context)) {
    const EngineOptions& options = context.options;
    // One micro-step arrives as it is; several are added up in fp32.
    const at::ScalarType kept = options.accumulation_steps == 1 ? arriving_type(context) : at::kFloat;
    for (int bucket = 0; bucket < context.num_buckets(); ++bucket) {
      shards_.push_back(context.is_on_host(bucket) ? at::Tensor()
                                                   : context.zeros(context.bucket(bucket).shard_elements, kept));
    }
    if (context.host != nullptr) {
      on_host_.emplace(context, arriving_type(context), std::move(host_work));
    }
  }

  void begin_micro_step(bool first, bool last) override {
    first_ = first;
    if (on_host_) {
      on_host_->begin_micro_step(first, last);
    }
    outgoing_.begin_micro_step();
  }

  kernels::GradientTarget target(int unit) override { return outgoing_.target(unit); }

  void ready(int unit) override {
    const at::Tensor whole = outgoing_.complete(unit);
    if (!whole.defined()) {
      return;
    }
    const int bucket = context_.place(unit).bucket;
    if (context_.is_on_host(bucket)) {
      send_down(whole, bucket);
    } else {
      keep_here(whole, bucket);
    }
  }

  at::Tensor reduced(int bucket) override {
    if (context_.is_on_host(bucket)) {
      return on_host_->sum(bucket);
    }
    outgoing_.settle_all();
    return shards_[static_cast<std::size_t>(bucket)];
  }

 private:
  void send_down(const at::Tensor& whole, int bucket) {
    const at::Tensor arriving = context_.shard(whole, bucket);
    comm::Ticket reduction = reduce_scatter(context_, whole, arriving, bucket);
    const SideCopies::Done copied = on_host_->add(bucket, arriving, reduction);
    outgoing_.release(bucket, [copied] { copied.block_current(); });
  }

  void keep_here(const at::Tensor& whole, int bucket) {
    at::Tensor& shard = shards_[static_cast<std::size_t>(bucket)];
    // What one rank reduces is where it was made.
    const bool arrives_in_place = first_ && !context_.one_rank() && shard.scalar_type() == whole.scalar_type();
    const at::Tensor arriving = arrives_in_place ? shard : context_.shard(whole, bucket);
    auto ticket = std::make_shared<comm::Ticket>(reduce_scatter(context_, whole, arriving, bucket));
    outgoing_.release(bucket, [this, ticket, arriving, bucket, first = first_] {
      ticket->wait(context_.stream());
      add_up(arriving, bucket, first);
    });
  }

  void add_up(const at::Tensor& arrived, int bucket, bool first) {
    at::Tensor& shard = shards_[static_cast<std::size_t>(bucket)];
    if (!first) {
      context_.ops.accumulate(shard, arrived);
    } else if (!shard.is_same(arrived)) {
      shard.copy_(arrived);
    }
  }

  const Context& context_;
  OutgoingBuckets outgoing_;
  std::vector<at::Tensor> shards_;     // those on the device, by bucket
  std::optional<HostShards> on_host_;  // the others
  bool first_ = true;
};

}  // namespace

std::unique_ptr<GradientBuckets> make_partitioned_gradients(const Context& context, HostShardWork host_work) {
  return std::make_unique<PartitionedGradients>(context, std::move(host_work));
}

}  // namespace tessera::engine

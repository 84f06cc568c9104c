#include "engine/gradient_buckets.hpp"
#include "engine/reduction.hpp"

#include <memory>
#include <utility>
#include <vector>

namespace tessera::engine {
namespace {

// ZeRO-2 and offloaded gradients: a rank keeps its shard alone, on the device or in host memory. Whole buckets exist in
// a small ring, until they are reduce-scattered.
class PartitionedGradients final : public GradientBuckets {
 public:
  PartitionedGradients(const Context& context, LeavingShardWork work)
      : context_(context),
        work_(std::move(work)),
        outgoing_(context, arriving_gradient_type(context.options, context.layout.world)),
        kept_(static_cast<std::size_t>(context.num_buckets())) {
    const at::ScalarType kept = kept_gradient_type(context.options, context.layout.world);
    for (int bucket = 0; bucket < context.num_buckets(); ++bucket) {
      const std::int64_t size = context.bucket(bucket).shard_elements;
      shards_.push_back(context.gradient_is_on_host(bucket) ? context.host_zeros(size, kept)
                                                            : context.zeros(size, kept));
    }
  }

  void begin_micro_step(bool first, bool last) override {
    first_ = first;
    last_ = last;
    outgoing_.begin_micro_step();
  }

  kernels::GradientTarget target(int unit) override { return outgoing_.target(unit); }

  void ready(int unit) override {
    const at::Tensor whole = outgoing_.complete(unit);
    if (!whole.defined()) {
      return;
    }
    const int bucket = context_.place(unit).bucket;
    if (context_.gradient_is_on_host(bucket)) {
      send_away(whole, bucket);
    } else {
      keep_here(whole, bucket);
    }
  }

  at::Tensor reduced(int bucket) override {
    const auto index = static_cast<std::size_t>(bucket);
    if (context_.gradient_is_on_host(bucket)) {
      kept_[index].block_current();
    } else {
      outgoing_.settle_all();
    }
    return shards_[index];
  }

 private:
  [[nodiscard]] bool adds_up() const { return context_.options.accumulation_steps > 1; }

  // Beside the computation, which is not to wait for the bus.
  void send_away(const at::Tensor& whole, int bucket) {
    const at::Tensor arriving = context_.shard(whole, bucket);
    comm::Ticket reduction = reduce_scatter(context_, whole, arriving, bucket);
    context_.side->follow_current();
    reduction.wait(context_.side->stream());
    const SideStream::Done kept = context_.side->run([&] {
      add_up(arriving, bucket, first_);
      if (last_) {
        work_(bucket, adds_up() ? shards_[static_cast<std::size_t>(bucket)] : arriving);
      }
    });
    kept_[static_cast<std::size_t>(bucket)] = kept;
    outgoing_.release(bucket, [kept] { kept.block_current(); });
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
      shard.copy_(arrived, /*non_blocking=*/true);
    }
  }

  const Context& context_;
  const LeavingShardWork work_;
  OutgoingBuckets outgoing_;
  std::vector<at::Tensor> shards_;      // by bucket
  std::vector<SideStream::Done> kept_;  // of those in host memory
  bool first_ = true;
  bool last_ = true;
};

}  // namespace

std::unique_ptr<GradientBuckets> make_partitioned_gradients(const Context& context, LeavingShardWork work) {
  return std::make_unique<PartitionedGradients>(context, std::move(work));
}

}  // namespace tessera::engine

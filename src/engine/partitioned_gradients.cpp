#include "engine/gradient_buckets.hpp"
#include "engine/reduction.hpp"

#include <memory>
#include <vector>

namespace tessera::engine {
namespace {

// ZeRO-2: a rank keeps its shard alone. Whole buckets exist in a small ring, until they are reduce-scattered.
class PartitionedGradients final : public GradientBuckets {
 public:
  explicit PartitionedGradients(const Context& context) : context_(context), outgoing_(context, context.options.wire) {
    const EngineOptions& options = context.options;
    // One micro-step arrives as it is; several are added up in fp32.
    const at::ScalarType kept = options.accumulation_steps == 1 ? options.wire : at::kFloat;
    for (const Bucket& bucket : context.layout.buckets) {
      shards_.push_back(context.zeros(bucket.shard_elements, kept));
    }
  }

  void begin_micro_step(bool first, bool /*last*/) override {
    first_ = first;
    outgoing_.begin_micro_step();
  }

  kernels::GradientTarget target(int unit) override { return outgoing_.target(unit); }

  void ready(int unit) override {
    const at::Tensor whole = outgoing_.complete(unit);
    if (!whole.defined()) {
      return;
    }
    const int bucket = context_.place(unit).bucket;
    at::Tensor& shard = shards_[static_cast<std::size_t>(bucket)];
    const bool arrives_in_place = first_ && shard.scalar_type() == whole.scalar_type();
    const at::Tensor arriving = arrives_in_place ? shard : context_.shard(whole, bucket);
    auto ticket = std::make_shared<comm::Ticket>(reduce_scatter(context_, whole, arriving, bucket));
    outgoing_.release(bucket, [this, ticket, arriving, bucket, first = first_] {
      ticket->wait(context_.stream());
      keep(arriving, bucket, first);
    });
  }

  at::Tensor reduced(int bucket) override {
    outgoing_.settle_all();
    return shards_[static_cast<std::size_t>(bucket)];
  }

 private:
  void keep(const at::Tensor& arrived, int bucket, bool first) {
    at::Tensor& shard = shards_[static_cast<std::size_t>(bucket)];
    if (!first) {
      context_.ops.accumulate(shard, arrived);
    } else if (!shard.is_same(arrived)) {
      shard.copy_(arrived);
    }
  }

  const Context& context_;
  OutgoingBuckets outgoing_;
  std::vector<at::Tensor> shards_;
  bool first_ = true;
};

}  // namespace

std::unique_ptr<GradientBuckets> make_partitioned_gradients(const Context& context) {
  return std::make_unique<PartitionedGradients>(context);
}

}  // namespace tessera::engine

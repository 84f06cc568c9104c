#include "engine/gradient_buckets.hpp"
#include "engine/reduction.hpp"

#include <optional>
#include <vector>

namespace tessera::engine {
namespace {

// ZeRO-2: a rank keeps its shard alone. Whole buckets exist in a small ring, until they are reduce-scattered.
class PartitionedGradients final : public GradientBuckets {
 public:
  explicit PartitionedGradients(const Context& context)
      : context_(context), counter_(context), work_(context, context.options.compute) {
    const EngineOptions& options = context.options;
    if (options.wire != options.compute) {
      wire_.emplace(context, options.wire);
    }
    // One micro-step arrives as it is; several are added up in fp32.
    const at::ScalarType kept = options.accumulation_steps == 1 ? options.wire : at::kFloat;
    for (const Bucket& bucket : context.layout.buckets) {
      shards_.push_back(context.zeros(bucket.shard_elements, kept));
    }
  }

  void begin_micro_step(bool first, bool /*last*/) override {
    first_ = first;
    counter_.reset();
  }

  kernels::GradientTarget target(int unit) override {
    return {context_.unit_view(work_.take(context_.place(unit).bucket), unit), false};
  }

  void ready(int unit) override {
    if (!counter_.completes(unit)) {
      return;
    }
    const int bucket = context_.place(unit).bucket;
    at::Tensor whole = work_.take(bucket);
    if (wire_) {
      whole = wire_->take(bucket).copy_(whole);
      work_.release(bucket, {});
    }
    at::Tensor& shard = shards_[static_cast<std::size_t>(bucket)];
    const bool arrives_in_place = first_ && shard.scalar_type() == whole.scalar_type();
    const at::Tensor arriving = arrives_in_place ? shard : context_.shard(whole, bucket);
    auto ticket = std::make_shared<comm::Ticket>(reduce_scatter(context_, whole, arriving, bucket));
    (wire_ ? *wire_ : work_).release(bucket, [this, ticket, arriving, bucket, first = first_] {
      ticket->wait(context_.stream());
      keep(arriving, bucket, first);
    });
  }

  at::Tensor reduced(int bucket) override {
    (wire_ ? *wire_ : work_).settle_all();
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
  UnitCounter counter_;
  Ring work_;
  std::optional<Ring> wire_;
  std::vector<at::Tensor> shards_;
  bool first_ = true;
};

}  // namespace

std::unique_ptr<GradientBuckets> make_partitioned_gradients(const Context& context) {
  return std::make_unique<PartitionedGradients>(context);
}

}  // namespace tessera::engine

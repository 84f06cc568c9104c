#include "engine/gradient_buckets.hpp"
#include "engine/reduction.hpp"

#include <optional>
#include <vector>

namespace tessera::engine {
namespace {

// Whole gradients summed over the micro-steps in fp32, reduced after the last one.
class AccumulatedGradients final : public GradientBuckets {
 public:
  explicit AccumulatedGradients(const Context& context)
      : context_(context),
        part_(owned_part(context.options)),
        counter_(context),
        work_(context, context.options.compute) {
    if (context.options.wire != at::kFloat && !context.one_rank()) {
      wire_.emplace(context, context.options.wire);
    }
    for (const Bucket& bucket : context.layout.buckets) {
      totals_.push_back(context.zeros(bucket.num_elements, at::kFloat));
    }
    reductions_.resize(totals_.size());
  }

  void begin_micro_step(bool first, bool last) override {
    first_ = first;
    last_ = last;
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
    const at::Tensor made = work_.take(bucket);
    if (first_) {
      total(bucket).copy_(made);
    } else {
      context_.ops.accumulate(total(bucket), made);
    }
    work_.release(bucket, {});
    if (last_) {
      reduce(bucket);
    }
  }

  at::Tensor reduced(int bucket) override {
    if (wire_) {
      wire_->settle_all();
    }
    reductions_[static_cast<std::size_t>(bucket)].wait(context_.stream());
    return mine(total(bucket), bucket);
  }

 private:
  void reduce(int bucket) {
    if (!wire_) {
      reductions_[static_cast<std::size_t>(bucket)] = reduce_in_place(context_, total(bucket), bucket, part_);
      return;
    }
    at::Tensor whole = wire_->take(bucket).copy_(total(bucket));
    auto ticket = std::make_shared<comm::Ticket>(reduce_in_place(context_, whole, bucket, part_));
    wire_->release(bucket, [this, ticket, whole, bucket] {
      ticket->wait(context_.stream());
      mine(total(bucket), bucket).copy_(mine(whole, bucket));
    });
  }

  at::Tensor& total(int bucket) { return totals_[static_cast<std::size_t>(bucket)]; }
  [[nodiscard]] at::Tensor mine(const at::Tensor& whole, int bucket) const {
    return part_ == Part::kWhole ? whole : context_.shard(whole, bucket);
  }

  const Context& context_;
  Part part_;
  UnitCounter counter_;
  Ring work_;
  std::optional<Ring> wire_;
  std::vector<at::Tensor> totals_;
  std::vector<comm::Ticket> reductions_;
  bool first_ = true;
  bool last_ = true;
};

}  // namespace

std::unique_ptr<GradientBuckets> make_accumulated_gradients(const Context& context) {
  return std::make_unique<AccumulatedGradients>(context);
}

}  // namespace tessera::engine

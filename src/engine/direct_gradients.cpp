#include "engine/gradient_buckets.hpp"
#include "engine/reduction.hpp"

#include <vector>

namespace tessera::engine {
namespace {

// Whole gradients, kept: products add later micro-steps onto earlier ones, the last one is reduced in place.
class DirectGradients final : public GradientBuckets {
 public:
  explicit DirectGradients(const Context& context)
      : context_(context),
        part_(owned_part(context.options)),
        counter_(context),
        reductions_(static_cast<std::size_t>(context.num_buckets())) {
    for (const Bucket& bucket : context.layout.buckets) {
      buckets_.push_back(context.zeros(bucket.num_elements, context.options.compute));
    }
  }

  void begin_micro_step(bool first, bool last) override {
    first_ = first;
    last_ = last;
    counter_.reset();
  }

  kernels::GradientTarget target(int unit) override {
    return {context_.unit_view(whole(context_.place(unit).bucket), unit), !first_};
  }

  void ready(int unit) override {
    if (counter_.completes(unit) && last_) {
      const int bucket = context_.place(unit).bucket;
      reductions_[static_cast<std::size_t>(bucket)] = reduce_in_place(context_, whole(bucket), bucket, part_);
    }
  }

  at::Tensor reduced(int bucket) override {
    reductions_[static_cast<std::size_t>(bucket)].wait(context_.stream());
    return part_ == Part::kWhole ? whole(bucket) : context_.shard(whole(bucket), bucket);
  }

 private:
  at::Tensor& whole(int bucket) { return buckets_[static_cast<std::size_t>(bucket)]; }

  const Context& context_;
  Part part_;
  UnitCounter counter_;
  std::vector<at::Tensor> buckets_;
  std::vector<comm::Ticket> reductions_;
  bool first_ = true;
  bool last_ = true;
};

}  // namespace

std::unique_ptr<GradientBuckets> make_direct_gradients(const Context& context) {
  return std::make_unique<DirectGradients>(context);
}

}  // namespace tessera::engine

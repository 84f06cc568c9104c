#include "engine/gradient_sums.hpp"

#include <ATen/ops/cat.h>

namespace tessera::engine {

GradientSums::GradientSums(const Context& context, const ShardedOptimizer& optimizer)
    : context_(context),
      optimizer_(optimizer),
      squares_B_(context.zeros(context.num_buckets(), at::kDouble)),
      trust_P3_(optimizer.make_trust_sums()) {}

void GradientSums::reset() {
  squares_B_.zero_();
  trust_P3_.zero_();
}

void GradientSums::add(int bucket, const at::Tensor& gradient) {
  optimizer_.add_trust_sums(bucket, gradient, trust_P3_);
  // At stage 0 every rank has all of it; each counts its shard, so that every stage adds up the same numbers.
  const bool whole = gradient.numel() == context_.bucket(bucket).num_elements;
  at::Tensor squares = squares_B_.select(0, bucket);
  context_.ops.add_sum_of_squares(whole ? context_.shard(gradient, bucket) : gradient, squares);
}

std::vector<double> GradientSums::with(const at::Tensor& metrics) const {
  const at::Tensor sums = at::cat({squares_B_, metrics, trust_P3_.view({-1})}).cpu();
  const auto* const numbers = sums.const_data_ptr<double>();
  const std::int64_t num_buckets = context_.num_buckets();
  std::vector<double> all{0};
  for (std::int64_t bucket = 0; bucket < num_buckets; ++bucket) {
    all[0] += numbers[bucket];
  }
  all.insert(all.end(), numbers + num_buckets, numbers + sums.numel());
  return all;
}

}  // namespace tessera::engine

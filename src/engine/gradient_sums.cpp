#include "engine/gradient_sums.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

namespace tessera::engine {

GradientSums::GradientSums(const Context& context, const ShardedOptimizer& optimizer)
    : context_(context),
      optimizer_(optimizer),
      device_(make_side(context.options.device)),
      host_(make_side(c10::kCPU)) {}

GradientSums::Side GradientSums::make_side(c10::Device device) const {
  return {at::zeros({context_.num_buckets()}, at::TensorOptions().dtype(at::kDouble).device(device)),
          optimizer_.make_trust_sums(device)};
}

void GradientSums::reset() {
  for (Side* const side : {&device_, &host_}) {
    side->squares_B.zero_();
    side->trust_P3.zero_();
  }
}

void GradientSums::add(int bucket, const at::Tensor& gradient) {
  Side& side = context_.is_on_host(bucket) ? host_ : device_;
  optimizer_.add_trust_sums(bucket, gradient, side.trust_P3);
  // At stage 0 every rank has all of it; each counts its shard, so that every stage adds up the same numbers.
  const bool whole = gradient.numel() == context_.bucket(bucket).num_elements;
  at::Tensor squares = side.squares_B.select(0, bucket);
  context_.state_ops(bucket).add_sum_of_squares(whole ? context_.shard(gradient, bucket) : gradient, squares);
}

std::vector<double> GradientSums::with(const at::Tensor& metrics) const {
  const auto joined = [](const at::Tensor& squares_B, const at::Tensor& between, const at::Tensor& trust_P3) {
    return at::cat({squares_B, between, trust_P3.view({-1})}).cpu();
  };
  const at::Tensor here = joined(device_.squares_B, metrics, device_.trust_P3);
  // Of each number one side has all, and the other 0.
  const at::Tensor sums = here.add(joined(host_.squares_B, at::zeros_like(metrics, at::kCPU), host_.trust_P3));
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

#include "tessera/model/feature_norm.hpp"

#include "tessera/core/error.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <utility>

namespace tessera::model {
namespace {

constexpr double kEps = 1e-6;
constexpr double kNewShare = 0.1;  // of the running statistics, torch's "momentum"

// A batch that is not finite, whose step is skipped, must not stay in the statistics for ever.
void blend(at::Tensor& running_D, const at::Tensor& batch_D) {
  running_D.copy_(at::where(at::isfinite(batch_D), running_D + (batch_D - running_D) * kNewShare, running_D));
}

at::Tensor normalise(const at::Tensor& centred_BD, const at::Tensor& var_D) {
  return centred_BD * (var_D + kEps).rsqrt();
}

}  // namespace

FeatureNorm::FeatureNorm(std::int64_t num_features, c10::Device device, SumOverRanks sum_over_ranks)
    : sum_over_ranks_(std::move(sum_over_ranks)),
      running_mean_D_(at::zeros({num_features}, at::TensorOptions().dtype(at::kFloat).device(device))),
      running_var_D_(at::ones({num_features}, running_mean_D_.options())) {}

at::Tensor FeatureNorm::of_batch(const at::Tensor& x_BD) {
  core::require(x_BD.scalar_type() == at::kFloat, "model", "features are normalised in fp32");
  // The number of images travels with the sums. Deviations are added up from the mean of all ranks: the difference of
  // two large sums would leave few digits.
  const at::Tensor count = at::full({1}, static_cast<double>(x_BD.size(0)), x_BD.options());
  at::Tensor sums = at::cat({x_BD.sum(0), count});
  sum_over_ranks_(sums);
  const std::int64_t num_features = x_BD.size(1);
  const at::Tensor total = sums.narrow(0, num_features, 1);
  const at::Tensor mean_D = sums.narrow(0, 0, num_features) / total;
  const at::Tensor centred_BD = x_BD - mean_D;
  at::Tensor squares_D = centred_BD.square().sum(0);
  sum_over_ranks_(squares_D);
  blend(running_mean_D_, mean_D);
  blend(running_var_D_, squares_D / (total - 1));  // of one image: infinite, and so left out
  return normalise(centred_BD, squares_D / total);
}

at::Tensor FeatureNorm::of_any(const at::Tensor& x_BD) const {
  return normalise(x_BD - running_mean_D_, running_var_D_);
}

}  // namespace tessera::model

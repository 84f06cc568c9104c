#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <functional>

// Shapes: B images, D features.

namespace tessera::model {

/// Adds up a flat fp32 tensor over the ranks, in place, in the current stream.
using SumOverRanks = std::function<void(at::Tensor&)>;

/// BatchNorm without affine parameters, as MAE puts it before the head of a linear probe: nn.BatchNorm1d(D,
/// affine=False, eps=1e-6), whose statistics are those of the micro-batch of all ranks (nn.SyncBatchNorm).
class FeatureNorm {
 public:
  FeatureNorm(std::int64_t num_features, c10::Device device, SumOverRanks sum_over_ranks);

  /// Normalised by the statistics of the batch, which then go into the running ones, a tenth each time. fp32.
  /// Collective over the run.
  at::Tensor of_batch(const at::Tensor& x_BD);
  /// Normalised by the running statistics.
  [[nodiscard]] at::Tensor of_any(const at::Tensor& x_BD) const;

  /// fp32, of D each: 0 and 1 in the beginning. The variance is that of a sample (n - 1).
  [[nodiscard]] const at::Tensor& running_mean() const { return running_mean_D_; }
  [[nodiscard]] const at::Tensor& running_var() const { return running_var_D_; }

 private:
  SumOverRanks sum_over_ranks_;
  at::Tensor running_mean_D_;
  at::Tensor running_var_D_;
};

}  // namespace tessera::model

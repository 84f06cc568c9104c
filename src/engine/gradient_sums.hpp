#pragma once

#include "engine/context.hpp"
#include "engine/sharded_optimizer.hpp"

#include <ATen/core/Tensor.h>

#include <vector>

namespace tessera::engine {

/// What a step has to know of its reduced gradient before it updates anything, of this rank's shards: the sum of
/// squares and, for LARS, the sums of which trust ratios are made. Each bucket adds to places of its own; the sum over
/// these is then in one order, in whatever order the buckets come.
class GradientSums {
 public:
  GradientSums(const Context& context, const ShardedOptimizer& optimizer);

  /// For the next step.
  void reset();
  /// On the current stream.
  void add(int bucket, const at::Tensor& gradient);

  /// The sum of squares, `metrics` (flat, fp64, of the run's device), and the optimizer's sums. Waits for the device.
  [[nodiscard]] std::vector<double> with(const at::Tensor& metrics) const;

 private:
  const Context& context_;
  const ShardedOptimizer& optimizer_;
  at::Tensor squares_B_;  // by bucket, fp64
  at::Tensor trust_P3_;   // by parameter, fp64
};

}  // namespace tessera::engine

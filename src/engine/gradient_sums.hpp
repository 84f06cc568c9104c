#pragma once

#include "engine/context.hpp"
#include "engine/sharded_optimizer.hpp"

#include <ATen/core/Tensor.h>

#include <vector>

namespace tessera::engine {

/// What a step has to know of its reduced gradient before it updates anything, of this rank's shards: the sum of
/// squares and, for LARS, the sums of which trust ratios are made. Each bucket adds on the side, device or host, where
/// its state is, to places of its own; the sum over these is then in one order, whatever lies where.
class GradientSums {
 public:
  GradientSums(const Context& context, const ShardedOptimizer& optimizer);

  /// For the next step.
  void reset();
  /// A bucket of the host may be added by another thread than those of the device.
  void add(int bucket, const at::Tensor& gradient);

  /// The sum of squares, `metrics` (flat, fp64, of the run's device), and the optimizer's sums. Waits for the device.
  [[nodiscard]] std::vector<double> with(const at::Tensor& metrics) const;

 private:
  struct Side {
    at::Tensor squares_B;  // by bucket
    at::Tensor trust_P3;   // by parameter
  };
  [[nodiscard]] Side make_side(c10::Device device) const;

  const Context& context_;
  const ShardedOptimizer& optimizer_;
  Side device_;
  Side host_;
};

}  // namespace tessera::engine

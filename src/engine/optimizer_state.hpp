#pragma once

#include "tessera/engine/options.hpp"
#include "tessera/kernels/optimizer.hpp"

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace tessera::engine {

/// What is kept of neighbouring elements. All tensors are flat and as long as these are many; scales have one number a
/// block.
struct OptimizerState {
  kernels::Parameter parameter;
  at::Tensor average;  ///< fp32; undefined where none are kept
  std::vector<kernels::Moment> moments;

  /// All tensors but the weight, which is not the optimizer's alone: always in the same order.
  [[nodiscard]] std::vector<at::Tensor> besides_weight() const;
};

using MakeZeros = std::function<at::Tensor(std::int64_t num_elements, at::ScalarType dtype)>;

/// Of so many elements, all made by `zeros`, without the weight.
OptimizerState make_state(const EngineOptions& options, std::int64_t size, const MakeZeros& zeros);

/// Elements [begin, begin + size), of what is defined. Where moments have 8 bits, `begin` is the first of a block.
OptimizerState narrow(const OptimizerState& state, std::int64_t begin, std::int64_t size);

}  // namespace tessera::engine

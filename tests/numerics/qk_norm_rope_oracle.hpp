#pragma once

#include "tessera/kernels/qk_norm_rope.hpp"

#include <ATen/core/Tensor.h>

// The norm and rotation of heads by LibTorch's autograd of their formula in fp64. Shapes: B images, T tokens, A heads,
// E elements a head.

namespace tessera::test {

/// One kind of heads in fp64, with the magnitudes that rounding errors are relative to.
struct QkNormRopeOracle {
  at::Tensor y_BTAE, dx_BTAE, dweight_E;
  at::Tensor y_size_BTAE, dx_size_BTAE, dweight_size_E;

  QkNormRopeOracle(const at::Tensor& heads_BTAE, const at::Tensor& weight_E, const kernels::RotaryTable& rotary,
                   double eps, const at::Tensor& dy_BTAE);
};

}  // namespace tessera::test

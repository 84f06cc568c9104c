#pragma once

#include "tessera/kernels/linear.hpp"

// What every implementation demands of its arguments.

namespace tessera::kernels::linear {

void check_forward(const at::Tensor& x_NI, const at::Tensor& weight_OI, const at::Tensor& residual_NO);
void check_input_gradient(const at::Tensor& dy_NO, const at::Tensor& weight_OI);
void check_weight_gradient(const at::Tensor& dy_NO, const at::Tensor& x_NI, const GradientTarget& target);

}  // namespace tessera::kernels::linear

#pragma once

#include "tessera/kernels/rms_norm.hpp"

// What every implementation demands of its arguments.

namespace tessera::kernels::rms_norm {

void check_forward(const at::Tensor& x_ND, const at::Tensor& weight_D);

void check_backward(const at::Tensor& dy_ND, const at::Tensor& x_ND, const at::Tensor& weight_D,
                    const at::Tensor& rstd_N, const at::Tensor& residual_gradient_ND,
                    const GradientTarget& weight_gradient);

}  // namespace tessera::kernels::rms_norm

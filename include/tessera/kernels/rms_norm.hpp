#pragma once

#include "tessera/kernels/gradient.hpp"

#include <ATen/core/Tensor.h>

// Shapes: N rows, D columns. Activations are fp32 or bf16; the arithmetic and rstd are fp32; results are rounded once.

namespace tessera::kernels {

struct RmsNormResult {
  at::Tensor y_ND;
  at::Tensor rstd_N;  ///< fp32, what backward needs besides x
};

/// y = x / sqrt(mean(x^2) + eps) * weight, over the last dimension. (Zhang and Sennrich 2019)
using RmsNormForward = RmsNormResult(const at::Tensor& x_ND, const at::Tensor& weight_D, double eps);

/// Returns dx + residual_gradient, the gradient at a point where the norm's input also went on along a residual path
/// (residual_gradient_ND undefined: dx alone), and leaves the weight's gradient in `weight_gradient`. dy_ND becomes y,
/// what forward gave, which the next layer's weight gradient needs.
using RmsNormBackward = at::Tensor(at::Tensor& dy_ND, const at::Tensor& x_ND, const at::Tensor& weight_D,
                                   const at::Tensor& rstd_N, const at::Tensor& residual_gradient_ND,
                                   const GradientTarget& weight_gradient);

namespace reference {
RmsNormForward rms_norm_forward;
RmsNormBackward rms_norm_backward;
}  // namespace reference

/// fp32 in one pass with vector instructions, on all of the rank's threads; bf16 as reference::.
namespace cpu {
RmsNormForward rms_norm_forward;
RmsNormBackward rms_norm_backward;
}  // namespace cpu

namespace cuda {
RmsNormForward rms_norm_forward;
RmsNormBackward rms_norm_backward;
}  // namespace cuda

}  // namespace tessera::kernels

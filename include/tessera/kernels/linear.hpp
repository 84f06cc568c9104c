#pragma once

#include "tessera/kernels/gradient.hpp"

#include <ATen/core/Tensor.h>

// The three matrix products of a linear layer. Shapes: N rows, I columns in, O columns out; weights are [O, I], as
// PyTorch's Linear has them. All tensors of a call have one type, fp32 or bf16; sums are fp32 and rounded once. Rows
// may lie further apart than their length; a row's elements lie next to each other.

namespace tessera::kernels {

/// x W^T + residual (undefined: without it).
using LinearForward = at::Tensor(const at::Tensor& x_NI, const at::Tensor& weight_OI, const at::Tensor& residual_NO);

/// dx = dy W.
using LinearInputGradient = at::Tensor(const at::Tensor& dy_NO, const at::Tensor& weight_OI);

/// dW = dy^T x, written into the target by the product itself. What accumulates in bf16 may be rounded before it is
/// added, too.
using LinearWeightGradient = void(const at::Tensor& dy_NO, const at::Tensor& x_NI, const GradientTarget& target);

/// LibTorch's products.
namespace reference {
LinearForward linear_forward;
LinearInputGradient linear_input_gradient;
LinearWeightGradient linear_weight_gradient;
}  // namespace reference

/// cuBLASLt. At the first call with a shape its candidate algorithms are timed, and the fastest is kept of those that
/// give the bits of the one that cuBLAS itself would take, so that a choice which differs between runs changes no
/// result. Where ATen's deterministic algorithms are on, that one is taken without looking further.
namespace cuda {
LinearForward linear_forward;
LinearInputGradient linear_input_gradient;
LinearWeightGradient linear_weight_gradient;
}  // namespace cuda

}  // namespace tessera::kernels

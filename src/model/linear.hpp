#pragma once

#include "tessera/model/parameter_access.hpp"

#include <ATen/core/Tensor.h>

// Shapes: N rows, I columns in, O columns out.

namespace tessera::model {

/// x W^T.
at::Tensor apply_linear(const at::Tensor& x_NI, const at::Tensor& weight_OI);

/// residual + x W^T, added inside the product, before rounding.
at::Tensor apply_linear_onto(const at::Tensor& residual_NO, const at::Tensor& x_NI, const at::Tensor& weight_OI);

/// The unit's gradient dy^T x, written by the product into its bucket, and reported ready.
void linear_weight_gradient(const at::Tensor& dy_NO, const at::Tensor& x_NI, int unit, Gradients& gradients);

/// `value` into (or, accumulating, onto) the unit's gradient, and reported ready. For small gradients made elsewhere.
void store_gradient(const at::Tensor& value, int unit, Gradients& gradients);

}  // namespace tessera::model

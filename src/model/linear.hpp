#pragma once

#include "tessera/kernels/ops.hpp"
#include "tessera/model/parameter_access.hpp"

#include <ATen/core/Tensor.h>

// Shapes: N rows, I columns in, O columns out.

namespace tessera::model {

/// The unit's gradient dy^T x, written by the product into its bucket, and reported ready.
void linear_weight_gradient(const kernels::Ops& ops, const at::Tensor& dy_NO, const at::Tensor& x_NI, int unit,
                            Gradients& gradients);

/// `value` into (or, accumulating, onto) the unit's gradient, and reported ready. For small gradients made elsewhere.
void store_gradient(const at::Tensor& value, int unit, Gradients& gradients);

}  // namespace tessera::model

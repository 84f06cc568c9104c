#pragma once

#include <ATen/core/Tensor.h>

// What every implementation demands of its arguments.

namespace tessera::kernels::swiglu {

void check_forward(const at::Tensor& gate_up_N2F);
void check_backward(const at::Tensor& dy_NF, const at::Tensor& gate_up_N2F);

}  // namespace tessera::kernels::swiglu

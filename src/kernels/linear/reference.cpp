#include "kernels/linear/arguments.hpp"
#include "tessera/kernels/linear.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

namespace tessera::kernels::reference {

at::Tensor linear_forward(const at::Tensor& x_NI, const at::Tensor& weight_OI, const at::Tensor& residual_NO) {
  linear::check_forward(x_NI, weight_OI, residual_NO);
  return residual_NO.defined() ? at::addmm(residual_NO, x_NI, weight_OI.t()) : at::mm(x_NI, weight_OI.t());
}

at::Tensor linear_input_gradient(const at::Tensor& dy_NO, const at::Tensor& weight_OI) {
  linear::check_input_gradient(dy_NO, weight_OI);
  return at::mm(dy_NO, weight_OI);
}

void linear_weight_gradient(const at::Tensor& dy_NO, const at::Tensor& x_NI, const GradientTarget& target) {
  linear::check_weight_gradient(dy_NO, x_NI, target);
  at::Tensor into = target.into;
  if (target.accumulate) {
    at::addmm_out(into, into, dy_NO.t(), x_NI);
  } else {
    at::mm_out(into, dy_NO.t(), x_NI);
  }
}

}  // namespace tessera::kernels::reference

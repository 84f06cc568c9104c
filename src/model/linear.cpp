#include "model/linear.hpp"

#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

namespace tessera::model {

at::Tensor apply_linear(const at::Tensor& x_NI, const at::Tensor& weight_OI) { return at::mm(x_NI, weight_OI.t()); }

at::Tensor apply_linear_onto(const at::Tensor& residual_NO, const at::Tensor& x_NI, const at::Tensor& weight_OI) {
  return at::addmm(residual_NO, x_NI, weight_OI.t());
}

void linear_weight_gradient(const at::Tensor& dy_NO, const at::Tensor& x_NI, int unit, Gradients& gradients) {
  kernels::GradientTarget target = gradients.target(unit);
  if (target.accumulate) {
    at::addmm_out(target.into, target.into, dy_NO.t(), x_NI);
  } else {
    at::mm_out(target.into, dy_NO.t(), x_NI);
  }
  gradients.ready(unit);
}

void store_gradient(const at::Tensor& value, int unit, Gradients& gradients) {
  const kernels::GradientTarget target = gradients.target(unit);
  if (target.accumulate) {
    target.into.add_(value);
  } else {
    target.into.copy_(value);
  }
  gradients.ready(unit);
}

}  // namespace tessera::model

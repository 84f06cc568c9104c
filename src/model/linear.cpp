#include "model/linear.hpp"

namespace tessera::model {

void linear_weight_gradient(const kernels::Ops& ops, const at::Tensor& dy_NO, const at::Tensor& x_NI, int unit,
                            Gradients& gradients) {
  ops.linear_weight_gradient(dy_NO, x_NI, gradients.target(unit));
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

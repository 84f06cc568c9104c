#include "kernels/linear/arguments.hpp"

#include "kernels/checks.hpp"

#include <ATen/core/Tensor.h>

namespace tessera::kernels::linear {
namespace {

/// A matrix of `rows` x `columns` like `first`, which names the op's type and device.
void check_like(std::string_view op, std::string_view name, const at::Tensor& matrix, const at::Tensor& first,
                at::IntArrayRef shape) {
  Check(op, name, matrix).has_type(first.scalar_type()).has_shape(shape).has_dense_rows().is_on(first.device());
}

}  // namespace

void check_forward(const at::Tensor& x_NI, const at::Tensor& weight_OI, const at::Tensor& residual_NO) {
  Check("linear_forward", "x", x_NI).is_float().has_dim(2).has_dense_rows();
  Check("linear_forward", "weight", weight_OI).has_dim(2);
  check_like("linear_forward", "weight", weight_OI, x_NI, {weight_OI.size(0), x_NI.size(1)});
  if (residual_NO.defined()) {
    check_like("linear_forward", "residual", residual_NO, x_NI, {x_NI.size(0), weight_OI.size(0)});
  }
}

void check_input_gradient(const at::Tensor& dy_NO, const at::Tensor& weight_OI) {
  Check("linear_input_gradient", "dy", dy_NO).is_float().has_dim(2).has_dense_rows();
  Check("linear_input_gradient", "weight", weight_OI).has_dim(2);
  check_like("linear_input_gradient", "weight", weight_OI, dy_NO, {dy_NO.size(1), weight_OI.size(1)});
}

void check_weight_gradient(const at::Tensor& dy_NO, const at::Tensor& x_NI, const GradientTarget& target) {
  Check("linear_weight_gradient", "dy", dy_NO).is_float().has_dim(2).has_dense_rows();
  Check("linear_weight_gradient", "x", x_NI).has_dim(2);
  check_like("linear_weight_gradient", "x", x_NI, dy_NO, {dy_NO.size(0), x_NI.size(1)});
  check_like("linear_weight_gradient", "target", target.into, dy_NO, {dy_NO.size(1), x_NI.size(1)});
}

}  // namespace tessera::kernels::linear

#include "kernels/cuda_scope.hpp"
#include "kernels/linear/arguments.hpp"
#include "kernels/linear/product_cuda.hpp"
#include "tessera/kernels/linear.hpp"

#include <ATen/ATen.h>

// cuBLAS reads a row-major [rows, columns] as a column-major [columns, rows]: y = x W^T becomes y^T = W x^T, of which
// it sees W as its transpose.

namespace tessera::kernels::cuda {
namespace {

bool is_empty(const at::Tensor& left, const at::Tensor& right) { return left.numel() == 0 || right.numel() == 0; }

}  // namespace

at::Tensor linear_forward(const at::Tensor& x_NI, const at::Tensor& weight_OI, const at::Tensor& residual_NO) {
  const CudaScope scope("linear_forward", x_NI);
  linear::check_forward(x_NI, weight_OI, residual_NO);
  if (is_empty(x_NI, weight_OI)) {
    return reference::linear_forward(x_NI, weight_OI, residual_NO);
  }
  at::Tensor y_NO = at::empty({x_NI.size(0), weight_OI.size(0)}, x_NI.options());
  linear::multiply({{weight_OI, true}, {x_NI, false}, residual_NO, y_NO});
  return y_NO;
}

at::Tensor linear_input_gradient(const at::Tensor& dy_NO, const at::Tensor& weight_OI) {
  const CudaScope scope("linear_input_gradient", dy_NO);
  linear::check_input_gradient(dy_NO, weight_OI);
  if (is_empty(dy_NO, weight_OI)) {
    return reference::linear_input_gradient(dy_NO, weight_OI);
  }
  at::Tensor dx_NI = at::empty({dy_NO.size(0), weight_OI.size(1)}, dy_NO.options());
  linear::multiply({{weight_OI, false}, {dy_NO, false}, {}, dx_NI});
  return dx_NI;
}

void linear_weight_gradient(const at::Tensor& dy_NO, const at::Tensor& x_NI, const GradientTarget& target) {
  const CudaScope scope("linear_weight_gradient", dy_NO);
  linear::check_weight_gradient(dy_NO, x_NI, target);
  if (is_empty(dy_NO, x_NI)) {
    reference::linear_weight_gradient(dy_NO, x_NI, target);
    return;
  }
  linear::multiply({{x_NI, false}, {dy_NO, true}, target.accumulate ? target.into : at::Tensor(), target.into});
}

}  // namespace tessera::kernels::cuda

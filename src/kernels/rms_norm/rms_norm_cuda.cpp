#include "kernels/rms_norm/rms_norm_cuda.hpp"

#include "kernels/checks.hpp"
#include "kernels/column_sum.hpp"
#include "kernels/cuda_scope.hpp"
#include "kernels/rms_norm/arguments.hpp"
#include "tessera/kernels/rms_norm.hpp"

#include <ATen/ATen.h>

// Shapes: N rows, D columns, P partial rows.

namespace tessera::kernels::cuda {

RmsNormResult rms_norm_forward(const at::Tensor& x_ND, const at::Tensor& weight_D, double eps) {
  const CudaScope scope("rms_norm_forward", x_ND);
  rms_norm::check_forward(x_ND, weight_D);
  const at::Tensor y_ND = at::empty_like(x_ND);
  const at::Tensor rstd_N = at::empty({x_ND.size(0)}, x_ND.options().dtype(at::kFloat));
  rms_norm::launch_forward({.x_ND = x_ND.const_data_ptr(),
                            .weight_D = weight_D.const_data_ptr(),
                            .y_ND = y_ND.mutable_data_ptr(),
                            .rstd_N = rstd_N.mutable_data_ptr<float>(),
                            .num_rows = x_ND.size(0),
                            .num_columns = x_ND.size(1),
                            .eps = static_cast<float>(eps)},
                           dtype_of(x_ND), scope.stream());
  scope.check_launch();
  return {y_ND, rstd_N};
}

at::Tensor rms_norm_backward(at::Tensor& dy_ND, const at::Tensor& x_ND, const at::Tensor& weight_D,
                             const at::Tensor& rstd_N, const at::Tensor& residual_gradient_ND,
                             const GradientTarget& weight_gradient) {
  const CudaScope scope("rms_norm_backward", x_ND);
  rms_norm::check_backward(dy_ND, x_ND, weight_D, rstd_N, residual_gradient_ND, weight_gradient);
  const std::int64_t num_columns = x_ND.size(1);
  const std::int64_t num_partials = rms_norm::num_partials(x_ND.size(0), num_columns, dtype_of(x_ND));
  const at::Tensor dx_ND = at::empty_like(x_ND);
  const at::Tensor partial_PD = at::empty({num_partials, num_columns}, x_ND.options().dtype(at::kFloat));
  rms_norm::launch_backward(
      {.dy_ND = dy_ND.mutable_data_ptr(),
       .x_ND = x_ND.const_data_ptr(),
       .weight_D = weight_D.const_data_ptr(),
       .rstd_N = rstd_N.const_data_ptr<float>(),
       .residual_ND = residual_gradient_ND.defined() ? residual_gradient_ND.const_data_ptr() : nullptr,
       .dx_ND = dx_ND.mutable_data_ptr(),
       .partial_PD = partial_PD.mutable_data_ptr<float>(),
       .num_rows = x_ND.size(0),
       .num_columns = num_columns},
      dtype_of(x_ND), scope.stream());
  scope.check_launch();
  launch_column_sum({.partial_PD = partial_PD.const_data_ptr<float>(),
                     .num_rows = num_partials,
                     .num_columns = num_columns,
                     .into_D = weight_gradient.into.mutable_data_ptr(),
                     .dtype = dtype_of(weight_gradient.into),
                     .accumulate = weight_gradient.accumulate},
                    scope.stream());
  scope.check_launch();
  return dx_ND;
}

}  // namespace tessera::kernels::cuda

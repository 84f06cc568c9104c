#include "kernels/rms_norm/arguments.hpp"
#include "kernels/weight_gradient.hpp"
#include "tessera/kernels/rms_norm.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

// Shapes: N rows, D columns.

namespace tessera::kernels::reference {

RmsNormResult rms_norm_forward(const at::Tensor& x_ND, const at::Tensor& weight_D, double eps) {
  rms_norm::check_forward(x_ND, weight_D);
  const at::Tensor wide_ND = x_ND.to(at::kFloat);
  const at::Tensor rstd_N = (wide_ND.square().mean(1) + eps).rsqrt();
  const at::Tensor y_ND = wide_ND * rstd_N.unsqueeze(1) * weight_D.to(at::kFloat);
  return {y_ND.to(x_ND.scalar_type()), rstd_N};
}

// y_i = w_i x_i r with r = (mean(x^2) + eps)^(-1/2), so dr/dx_j = -r^3 x_j / D and
// dx_j = r w_j dy_j - x_j r^3 / D * sum_i(dy_i w_i x_i). With the normalised n = x r: dx = r (g - n mean(g n)), g = dy
// w.
at::Tensor rms_norm_backward(at::Tensor& dy_ND, const at::Tensor& x_ND, const at::Tensor& weight_D,
                             const at::Tensor& rstd_N, const at::Tensor& residual_gradient_ND,
                             const GradientTarget& weight_gradient) {
  rms_norm::check_backward(dy_ND, x_ND, weight_D, rstd_N, residual_gradient_ND, weight_gradient);
  const at::Tensor wide_dy_ND = dy_ND.to(at::kFloat);
  const at::Tensor rstd_N1 = rstd_N.unsqueeze(1);
  const at::Tensor normalised_ND = x_ND.to(at::kFloat) * rstd_N1;
  store_weight_gradient((wide_dy_ND * normalised_ND).sum(0), weight_gradient);

  const at::Tensor g_ND = wide_dy_ND * weight_D.to(at::kFloat);
  const at::Tensor dot_N1 = (g_ND * normalised_ND).mean(1, /*keepdim=*/true);
  at::Tensor dx_ND = (g_ND - normalised_ND * dot_N1) * rstd_N1;
  if (residual_gradient_ND.defined()) {
    dx_ND += residual_gradient_ND.to(at::kFloat);
  }
  dy_ND.copy_(normalised_ND * weight_D.to(at::kFloat));
  return dx_ND.to(x_ND.scalar_type());
}

}  // namespace tessera::kernels::reference

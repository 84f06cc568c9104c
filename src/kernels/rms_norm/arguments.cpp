#include "kernels/rms_norm/arguments.hpp"

#include "kernels/checks.hpp"
#include "kernels/weight_gradient.hpp"

#include <ATen/core/Tensor.h>

namespace tessera::kernels::rms_norm {

void check_forward(const at::Tensor& x_ND, const at::Tensor& weight_D) {
  Check("rms_norm", "x", x_ND).is_float().has_dim(2).is_contiguous();
  Check("rms_norm", "weight", weight_D)
      .has_type(x_ND.scalar_type())
      .has_shape({x_ND.size(1)})
      .is_contiguous()
      .is_on(x_ND.device());
}

void check_backward(const at::Tensor& dy_ND, const at::Tensor& x_ND, const at::Tensor& weight_D,
                    const at::Tensor& rstd_N, const at::Tensor& residual_gradient_ND,
                    const GradientTarget& weight_gradient) {
  check_forward(x_ND, weight_D);
  Check("rms_norm_backward", "dy", dy_ND)
      .has_type(x_ND.scalar_type())
      .has_shape(x_ND.sizes())
      .is_contiguous()
      .is_on(x_ND.device());
  Check("rms_norm_backward", "rstd", rstd_N)
      .has_type(at::kFloat)
      .has_shape({x_ND.size(0)})
      .is_contiguous()
      .is_on(x_ND.device());
  if (residual_gradient_ND.defined()) {
    Check("rms_norm_backward", "residual gradient", residual_gradient_ND)
        .has_type(x_ND.scalar_type())
        .has_shape(x_ND.sizes())
        .is_contiguous()
        .is_on(x_ND.device());
  }
  check_target("rms_norm_backward", weight_gradient, x_ND.size(1), x_ND.device());
}

}  // namespace tessera::kernels::rms_norm

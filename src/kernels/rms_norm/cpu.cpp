#include "kernels/rms_norm/arguments.hpp"
#include "kernels/rms_norm/loops.hpp"
#include "kernels/row_chunks.hpp"
#include "kernels/weight_gradient.hpp"
#include "tessera/kernels/rms_norm.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

// Shapes: N rows, D columns, P chunks of rows.

namespace tessera::kernels::cpu {

RmsNormResult rms_norm_forward(const at::Tensor& x_ND, const at::Tensor& weight_D, double eps) {
  if (x_ND.scalar_type() != at::kFloat) {
    return reference::rms_norm_forward(x_ND, weight_D, eps);
  }
  rms_norm::check_forward(x_ND, weight_D);
  const std::int64_t num_columns = x_ND.size(1);
  const at::Tensor y_ND = at::empty_like(x_ND);
  const at::Tensor rstd_N = at::empty({x_ND.size(0)}, x_ND.options());
  const auto* const x = x_ND.const_data_ptr<float>();
  const auto* const weight = weight_D.const_data_ptr<float>();
  auto* const y = y_ND.mutable_data_ptr<float>();
  auto* const rstd = rstd_N.mutable_data_ptr<float>();
  RowChunks(x_ND.size(0)).for_each([&](std::int64_t, std::int64_t first, std::int64_t num_rows) {
    rms_norm::forward_rows({x + first * num_columns, weight, y + first * num_columns, rstd + first, num_rows,
                            num_columns, static_cast<float>(eps)});
  });
  return {y_ND, rstd_N};
}

at::Tensor rms_norm_backward(at::Tensor& dy_ND, const at::Tensor& x_ND, const at::Tensor& weight_D,
                             const at::Tensor& rstd_N, const at::Tensor& residual_gradient_ND,
                             const GradientTarget& weight_gradient) {
  if (x_ND.scalar_type() != at::kFloat) {
    return reference::rms_norm_backward(dy_ND, x_ND, weight_D, rstd_N, residual_gradient_ND, weight_gradient);
  }
  rms_norm::check_backward(dy_ND, x_ND, weight_D, rstd_N, residual_gradient_ND, weight_gradient);
  const std::int64_t num_columns = x_ND.size(1);
  const RowChunks chunks(x_ND.size(0));
  const at::Tensor dx_ND = at::empty_like(x_ND);
  const at::Tensor dweight_PD = at::empty({chunks.count(), num_columns}, x_ND.options());
  auto* const dy = dy_ND.mutable_data_ptr<float>();
  const auto* const x = x_ND.const_data_ptr<float>();
  const auto* const weight = weight_D.const_data_ptr<float>();
  const auto* const rstd = rstd_N.const_data_ptr<float>();
  const auto* const residual = residual_gradient_ND.defined() ? residual_gradient_ND.const_data_ptr<float>() : nullptr;
  auto* const dx = dx_ND.mutable_data_ptr<float>();
  auto* const dweight = dweight_PD.mutable_data_ptr<float>();
  chunks.for_each([&](std::int64_t chunk, std::int64_t first, std::int64_t num_rows) {
    const std::int64_t offset = first * num_columns;
    rms_norm::backward_rows({dy + offset, x + offset, weight, rstd + first,
                             residual == nullptr ? nullptr : residual + offset, dx + offset,
                             dweight + chunk * num_columns, num_rows, num_columns});
  });
  store_weight_gradient(dweight_PD.sum(0), weight_gradient);
  return dx_ND;
}

}  // namespace tessera::kernels::cpu

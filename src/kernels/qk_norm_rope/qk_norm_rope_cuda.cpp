#include "kernels/qk_norm_rope/qk_norm_rope_cuda.hpp"

#include "kernels/checks.hpp"
#include "kernels/column_sum.hpp"
#include "kernels/cuda_scope.hpp"
#include "kernels/qk_norm_rope/arguments.hpp"
#include "tessera/core/error.hpp"
#include "tessera/kernels/qk_norm_rope.hpp"

#include <ATen/ATen.h>

#include <limits>

// Shapes: B images, T tokens, N = B*T rows, H query heads, K key/value heads, E elements a head, C = (H + 2K) E,
// P partial rows.

namespace tessera::kernels::cuda {
namespace {

/// The kernels count heads of all tokens with 32 bits.
qk_norm_rope::Dims dims_of(const HeadShape& shape, double eps) {
  const std::int64_t num_heads = shape.batch * shape.tokens * (shape.query_heads + 2 * shape.key_heads);
  // room for a grid's last stride and for 32 lanes to a head
  core::require(num_heads <= std::numeric_limits<std::int32_t>::max() / 64, "kernels",
                "qk_norm_rope: {} images of {} tokens have more heads than the kernels can count; use smaller batches",
                shape.batch, shape.tokens);
  core::require(shape.head_dim <= qk_norm_rope::kMaxHeadDim, "kernels", "qk_norm_rope: head_dim is {}; at most {}",
                shape.head_dim, qk_norm_rope::kMaxHeadDim);
  return {.batch = static_cast<int>(shape.batch),
          .tokens = static_cast<int>(shape.tokens),
          .query_heads = static_cast<int>(shape.query_heads),
          .key_heads = static_cast<int>(shape.key_heads),
          .head_dim = static_cast<int>(shape.head_dim),
          .eps = static_cast<float>(eps)};
}

qk_norm_rope::StridedHeads strided(const at::Tensor& heads) {
  return {heads.const_data_ptr(), heads.stride(0), heads.stride(1), heads.stride(2)};
}

void sum_partials(const at::Tensor& partial_PE, const GradientTarget& target, const CudaScope& scope) {
  launch_column_sum({.partial_PD = partial_PE.const_data_ptr<float>(),
                     .num_rows = partial_PE.size(0),
                     .num_columns = partial_PE.size(1),
                     .into_D = target.into.mutable_data_ptr(),
                     .dtype = dtype_of(target.into),
                     .accumulate = target.accumulate},
                    scope.stream());
  scope.check_launch();
}

}  // namespace

QueryKey qk_norm_rope_forward(const at::Tensor& qkv_NC, const at::Tensor& q_weight_E, const at::Tensor& k_weight_E,
                              const RotaryTable& rotary, const HeadShape& shape, double eps) {
  const CudaScope scope("qk_norm_rope_forward", qkv_NC);
  qk_norm_rope::check_forward(qkv_NC, q_weight_E, k_weight_E, rotary, shape);
  const QueryKey result{at::empty({shape.batch, shape.tokens, shape.query_heads, shape.head_dim}, qkv_NC.options()),
                        at::empty({shape.batch, shape.tokens, shape.key_heads, shape.head_dim}, qkv_NC.options())};
  if (qkv_NC.numel() == 0) {
    return result;
  }
  qk_norm_rope::launch_forward({.qkv_NC = qkv_NC.const_data_ptr(),
                                .q_weight_E = q_weight_E.const_data_ptr(),
                                .k_weight_E = k_weight_E.const_data_ptr(),
                                .cos_TE2 = rotary.cos_TE2.const_data_ptr<float>(),
                                .sin_TE2 = rotary.sin_TE2.const_data_ptr<float>(),
                                .q_BTHE = result.q_BTHE.mutable_data_ptr(),
                                .k_BTKE = result.k_BTKE.mutable_data_ptr(),
                                .dims = dims_of(shape, eps)},
                               dtype_of(qkv_NC), scope.stream());
  scope.check_launch();
  return result;
}

at::Tensor qk_norm_rope_backward(const at::Tensor& dq_BTHE, const at::Tensor& dk_BTKE, const at::Tensor& dv_BTKE,
                                 const at::Tensor& qkv_NC, const at::Tensor& q_weight_E, const at::Tensor& k_weight_E,
                                 const RotaryTable& rotary, const HeadShape& shape, double eps,
                                 const QkNormRopeGradients& weight_gradients) {
  const CudaScope scope("qk_norm_rope_backward", qkv_NC);
  qk_norm_rope::check_forward(qkv_NC, q_weight_E, k_weight_E, rotary, shape);
  qk_norm_rope::check_backward(dq_BTHE, dk_BTKE, dv_BTKE, qkv_NC, shape, weight_gradients);
  const qk_norm_rope::Dims dims = dims_of(shape, eps);
  const qk_norm_rope::Partials partials = qk_norm_rope::num_partials(dims);
  const at::Tensor dqkv_NC = at::empty_like(qkv_NC);
  const at::Tensor partial_PE =
      at::empty({partials.query + partials.key, shape.head_dim}, qkv_NC.options().dtype(at::kFloat));
  qk_norm_rope::launch_backward({.dq_BTHE = strided(dq_BTHE),
                                 .dk_BTKE = strided(dk_BTKE),
                                 .dv_BTKE = strided(dv_BTKE),
                                 .qkv_NC = qkv_NC.const_data_ptr(),
                                 .q_weight_E = q_weight_E.const_data_ptr(),
                                 .k_weight_E = k_weight_E.const_data_ptr(),
                                 .cos_TE2 = rotary.cos_TE2.const_data_ptr<float>(),
                                 .sin_TE2 = rotary.sin_TE2.const_data_ptr<float>(),
                                 .dqkv_NC = dqkv_NC.mutable_data_ptr(),
                                 .partial_PE = partial_PE.mutable_data_ptr<float>(),
                                 .dims = dims},
                                dtype_of(qkv_NC), scope.stream());
  scope.check_launch();
  sum_partials(partial_PE.narrow(0, 0, partials.query), weight_gradients.q_weight, scope);
  sum_partials(partial_PE.narrow(0, partials.query, partials.key), weight_gradients.k_weight, scope);
  return dqkv_NC;
}

}  // namespace tessera::kernels::cuda

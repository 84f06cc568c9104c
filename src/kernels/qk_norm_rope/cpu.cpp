#include "kernels/qk_norm_rope/arguments.hpp"
#include "kernels/qk_norm_rope/loops.hpp"
#include "kernels/row_chunks.hpp"
#include "kernels/weight_gradient.hpp"
#include "tessera/kernels/qk_norm_rope.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

// Shapes: B images, T tokens, N = B*T rows, H query heads, K key/value heads, E elements a head, C = (H + 2K) E,
// P chunks of rows.

namespace tessera::kernels::cpu {
namespace {

/// A [B, T, heads, E] tensor whose last dimension alone is sure to be contiguous.
struct StridedHeads {
  const float* data;
  std::int64_t tokens, batch_stride, token_stride, head_stride;

  explicit StridedHeads(const at::Tensor& tensor)
      : data(tensor.const_data_ptr<float>()),
        tokens(tensor.size(1)),
        batch_stride(tensor.stride(0)),
        token_stride(tensor.stride(1)),
        head_stride(tensor.stride(2)) {}

  [[nodiscard]] const float* row(std::int64_t row) const {
    return data + row / tokens * batch_stride + row % tokens * token_stride;
  }
};

qk_norm_rope::Rotation rotation_of(const RotaryTable& rotary, std::int64_t row) {
  const std::int64_t offset = row % rotary.cos_TE2.size(0) * rotary.cos_TE2.size(1);
  return {rotary.cos_TE2.const_data_ptr<float>() + offset, rotary.sin_TE2.const_data_ptr<float>() + offset};
}

}  // namespace

QueryKey qk_norm_rope_forward(const at::Tensor& qkv_NC, const at::Tensor& q_weight_E, const at::Tensor& k_weight_E,
                              const RotaryTable& rotary, const HeadShape& shape, double eps) {
  if (qkv_NC.scalar_type() != at::kFloat) {
    return reference::qk_norm_rope_forward(qkv_NC, q_weight_E, k_weight_E, rotary, shape, eps);
  }
  qk_norm_rope::check_forward(qkv_NC, q_weight_E, k_weight_E, rotary, shape);
  const std::int64_t head_dim = shape.head_dim;
  const std::int64_t q_size = shape.query_heads * head_dim;
  const std::int64_t k_size = shape.key_heads * head_dim;
  const at::Tensor q_BTHE = at::empty({shape.batch, shape.tokens, shape.query_heads, head_dim}, qkv_NC.options());
  const at::Tensor k_BTKE = at::empty({shape.batch, shape.tokens, shape.key_heads, head_dim}, qkv_NC.options());
  const auto* const qkv = qkv_NC.const_data_ptr<float>();
  auto* const q = q_BTHE.mutable_data_ptr<float>();
  auto* const k = k_BTKE.mutable_data_ptr<float>();
  RowChunks(qkv_NC.size(0)).for_each([&](std::int64_t, std::int64_t first, std::int64_t num_rows) {
    for (std::int64_t row = first; row < first + num_rows; ++row) {
      const float* const x = qkv + row * qkv_NC.size(1);
      const qk_norm_rope::Rotation rotation = rotation_of(rotary, row);
      qk_norm_rope::forward_heads({x, q_weight_E.const_data_ptr<float>(), rotation, q + row * q_size, shape.query_heads,
                                   head_dim, static_cast<float>(eps)});
      qk_norm_rope::forward_heads({x + q_size, k_weight_E.const_data_ptr<float>(), rotation, k + row * k_size,
                                   shape.key_heads, head_dim, static_cast<float>(eps)});
    }
  });
  return {q_BTHE, k_BTKE};
}

at::Tensor qk_norm_rope_backward(const at::Tensor& dq_BTHE, const at::Tensor& dk_BTKE, const at::Tensor& dv_BTKE,
                                 const at::Tensor& qkv_NC, const at::Tensor& q_weight_E, const at::Tensor& k_weight_E,
                                 const RotaryTable& rotary, const HeadShape& shape, double eps,
                                 const QkNormRopeGradients& weight_gradients) {
  if (qkv_NC.scalar_type() != at::kFloat) {
    return reference::qk_norm_rope_backward(dq_BTHE, dk_BTKE, dv_BTKE, qkv_NC, q_weight_E, k_weight_E, rotary, shape,
                                            eps, weight_gradients);
  }
  qk_norm_rope::check_forward(qkv_NC, q_weight_E, k_weight_E, rotary, shape);
  qk_norm_rope::check_backward(dq_BTHE, dk_BTKE, dv_BTKE, qkv_NC, shape, weight_gradients);
  const std::int64_t head_dim = shape.head_dim;
  const std::int64_t q_size = shape.query_heads * head_dim;
  const std::int64_t k_size = shape.key_heads * head_dim;
  const RowChunks chunks(qkv_NC.size(0));
  const at::Tensor dqkv_NC = at::empty_like(qkv_NC);
  const at::Tensor dweight_P2E = at::zeros({chunks.count(), 2, head_dim}, qkv_NC.options());
  const StridedHeads dq(dq_BTHE);
  const StridedHeads dk(dk_BTKE);
  const StridedHeads dv(dv_BTKE);
  chunks.for_each([&](std::int64_t chunk, std::int64_t first, std::int64_t num_rows) {
    float* const dweight = dweight_P2E.mutable_data_ptr<float>() + chunk * 2 * head_dim;
    for (std::int64_t row = first; row < first + num_rows; ++row) {
      const float* const x = qkv_NC.const_data_ptr<float>() + row * qkv_NC.size(1);
      float* const dx = dqkv_NC.mutable_data_ptr<float>() + row * qkv_NC.size(1);
      const qk_norm_rope::Rotation rotation = rotation_of(rotary, row);
      qk_norm_rope::backward_heads({dq.row(row), dq.head_stride, x, q_weight_E.const_data_ptr<float>(), rotation, dx,
                                    dweight, shape.query_heads, head_dim, static_cast<float>(eps)});
      qk_norm_rope::backward_heads({dk.row(row), dk.head_stride, x + q_size, k_weight_E.const_data_ptr<float>(),
                                    rotation, dx + q_size, dweight + head_dim, shape.key_heads, head_dim,
                                    static_cast<float>(eps)});
      for (std::int64_t head = 0; head < shape.key_heads; ++head) {
        std::copy_n(dv.row(row) + head * dv.head_stride, head_dim, dx + q_size + k_size + head * head_dim);
      }
    }
  });
  const at::Tensor dweight_2E = dweight_P2E.sum(0);
  store_weight_gradient(dweight_2E[0], weight_gradients.q_weight);
  store_weight_gradient(dweight_2E[1], weight_gradients.k_weight);
  return dqkv_NC;
}

}  // namespace tessera::kernels::cpu

#include "kernels/qk_norm_rope/arguments.hpp"

#include "kernels/checks.hpp"
#include "kernels/weight_gradient.hpp"
#include "tessera/core/error.hpp"

#include <ATen/core/Tensor.h>

namespace tessera::kernels::qk_norm_rope {

void check_forward(const at::Tensor& qkv_NC, const at::Tensor& q_weight_E, const at::Tensor& k_weight_E,
                   const RotaryTable& rotary, const HeadShape& shape) {
  const std::int64_t head_dim = shape.head_dim;
  core::require(head_dim > 0 && head_dim % 2 == 0, "kernels", "qk_norm_rope: head_dim is {}; it must be even",
                head_dim);
  Check("qk_norm_rope", "qkv", qkv_NC)
      .is_float()
      .has_shape({shape.batch * shape.tokens, (shape.query_heads + 2 * shape.key_heads) * head_dim})
      .is_contiguous();
  const at::Device device = qkv_NC.device();
  const at::ScalarType type = qkv_NC.scalar_type();
  Check("qk_norm_rope", "q_weight", q_weight_E).has_type(type).has_shape({head_dim}).is_contiguous().is_on(device);
  Check("qk_norm_rope", "k_weight", k_weight_E).has_type(type).has_shape({head_dim}).is_contiguous().is_on(device);
  for (const at::Tensor* table_TE2 : {&rotary.cos_TE2, &rotary.sin_TE2}) {
    Check("qk_norm_rope", "rotary table", *table_TE2)
        .has_type(at::kFloat)
        .has_shape({shape.tokens, head_dim / 2})
        .is_contiguous()
        .is_on(device);
  }
}

void check_backward(const at::Tensor& dq_BTHE, const at::Tensor& dk_BTKE, const at::Tensor& dv_BTKE,
                    const at::Tensor& qkv_NC, const HeadShape& shape, const QkNormRopeGradients& weight_gradients) {
  const at::Device device = qkv_NC.device();
  const at::ScalarType type = qkv_NC.scalar_type();
  Check("qk_norm_rope_backward", "dq", dq_BTHE)
      .has_type(type)
      .has_shape({shape.batch, shape.tokens, shape.query_heads, shape.head_dim})
      .has_dense_rows()
      .is_on(device);
  for (const at::Tensor* gradient_BTKE : {&dk_BTKE, &dv_BTKE}) {
    Check("qk_norm_rope_backward", "dk or dv", *gradient_BTKE)
        .has_type(type)
        .has_shape({shape.batch, shape.tokens, shape.key_heads, shape.head_dim})
        .has_dense_rows()
        .is_on(device);
  }
  check_target("qk_norm_rope_backward", weight_gradients.q_weight, shape.head_dim, device);
  check_target("qk_norm_rope_backward", weight_gradients.k_weight, shape.head_dim, device);
}

}  // namespace tessera::kernels::qk_norm_rope

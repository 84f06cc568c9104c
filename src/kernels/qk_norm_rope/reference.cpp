#include "kernels/qk_norm_rope/arguments.hpp"
#include "kernels/weight_gradient.hpp"
#include "tessera/core/error.hpp"
#include "tessera/kernels/qk_norm_rope.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>

// Shapes: B images, T tokens, N = B*T rows, H query heads, K key/value heads, A heads of either kind, E elements a
// head, C = (H + 2K) E.

namespace tessera::kernels {

RotaryTable make_rotary_table(std::int64_t tokens, std::int64_t head_dim, double theta) {
  core::require(tokens > 0 && head_dim > 0 && head_dim % 2 == 0 && theta > 0, "kernels",
                "rotary table: {} tokens, head_dim {}, theta {}", tokens, head_dim, theta);
  const at::Tensor exponent_E2 = at::arange(0, head_dim, 2, at::kDouble) / static_cast<double>(head_dim);
  const at::Tensor frequency_E2 = at::pow(theta, -exponent_E2);
  const at::Tensor angle_TE2 = at::outer(at::arange(tokens, at::kDouble), frequency_E2);
  return {angle_TE2.cos().to(at::kFloat), angle_TE2.sin().to(at::kFloat)};
}

namespace reference {
namespace {

struct Halves {
  at::Tensor first;
  at::Tensor second;
};

Halves halves_of(const at::Tensor& x) {
  const std::int64_t half = x.size(-1) / 2;
  return {x.narrow(-1, 0, half), x.narrow(-1, half, half)};
}

/// By the table's angles, or back by them.
at::Tensor rotate(const at::Tensor& x_BTAE, const RotaryTable& rotary, bool back) {
  const Halves x = halves_of(x_BTAE);
  const at::Tensor cos_T1E2 = rotary.cos_TE2.unsqueeze(1);
  const at::Tensor sin_T1E2 = back ? -rotary.sin_TE2.unsqueeze(1) : rotary.sin_TE2.unsqueeze(1);
  return at::cat({x.first * cos_T1E2 - x.second * sin_T1E2, x.second * cos_T1E2 + x.first * sin_T1E2}, -1);
}

/// Heads [first, first + count) of the packed projection, in fp32.
at::Tensor heads_of(const at::Tensor& qkv_NC, const HeadShape& shape, std::int64_t first, std::int64_t count) {
  return qkv_NC.view({shape.batch, shape.tokens, shape.query_heads + 2 * shape.key_heads, shape.head_dim})
      .narrow(2, first, count)
      .to(at::kFloat);
}

at::Tensor rstd_of(const at::Tensor& x_BTAE, double eps) {
  return (x_BTAE.square().mean(3, /*keepdim=*/true) + eps).rsqrt();
}

at::Tensor forward_heads(const at::Tensor& x_BTAE, const at::Tensor& weight_E, const RotaryTable& rotary, double eps) {
  const at::Tensor normed_BTAE = x_BTAE * rstd_of(x_BTAE, eps) * weight_E.to(at::kFloat);
  return rotate(normed_BTAE, rotary, /*back=*/false);
}

/// As rms_norm_backward, behind the transposed rotation.
at::Tensor backward_heads(const at::Tensor& dy_BTAE, const at::Tensor& x_BTAE, const at::Tensor& weight_E,
                          const RotaryTable& rotary, double eps, const GradientTarget& weight_gradient) {
  const at::Tensor dnormed_BTAE = rotate(dy_BTAE.to(at::kFloat), rotary, /*back=*/true);
  const at::Tensor rstd_BTA1 = rstd_of(x_BTAE, eps);
  const at::Tensor normalised_BTAE = x_BTAE * rstd_BTA1;
  store_weight_gradient((dnormed_BTAE * normalised_BTAE).sum({0, 1, 2}), weight_gradient);
  const at::Tensor g_BTAE = dnormed_BTAE * weight_E.to(at::kFloat);
  return (g_BTAE - normalised_BTAE * (g_BTAE * normalised_BTAE).mean(3, /*keepdim=*/true)) * rstd_BTA1;
}

}  // namespace

QueryKey qk_norm_rope_forward(const at::Tensor& qkv_NC, const at::Tensor& q_weight_E, const at::Tensor& k_weight_E,
                              const RotaryTable& rotary, const HeadShape& shape, double eps) {
  qk_norm_rope::check_forward(qkv_NC, q_weight_E, k_weight_E, rotary, shape);
  const at::Tensor q_BTHE = heads_of(qkv_NC, shape, 0, shape.query_heads);
  const at::Tensor k_BTKE = heads_of(qkv_NC, shape, shape.query_heads, shape.key_heads);
  return {forward_heads(q_BTHE, q_weight_E, rotary, eps).to(qkv_NC.scalar_type()),
          forward_heads(k_BTKE, k_weight_E, rotary, eps).to(qkv_NC.scalar_type())};
}

at::Tensor qk_norm_rope_backward(const at::Tensor& dq_BTHE, const at::Tensor& dk_BTKE, const at::Tensor& dv_BTKE,
                                 const at::Tensor& qkv_NC, const at::Tensor& q_weight_E, const at::Tensor& k_weight_E,
                                 const RotaryTable& rotary, const HeadShape& shape, double eps,
                                 const QkNormRopeGradients& weight_gradients) {
  qk_norm_rope::check_forward(qkv_NC, q_weight_E, k_weight_E, rotary, shape);
  qk_norm_rope::check_backward(dq_BTHE, dk_BTKE, dv_BTKE, qkv_NC, shape, weight_gradients);
  const at::Tensor q_BTHE = heads_of(qkv_NC, shape, 0, shape.query_heads);
  const at::Tensor k_BTKE = heads_of(qkv_NC, shape, shape.query_heads, shape.key_heads);
  const at::Tensor dqkv_BTAE = at::cat(
      {backward_heads(dq_BTHE, q_BTHE, q_weight_E, rotary, eps, weight_gradients.q_weight),
       backward_heads(dk_BTKE, k_BTKE, k_weight_E, rotary, eps, weight_gradients.k_weight), dv_BTKE.to(at::kFloat)},
      2);
  return dqkv_BTAE.to(qkv_NC.scalar_type()).view(qkv_NC.sizes());
}

}  // namespace reference
}  // namespace tessera::kernels

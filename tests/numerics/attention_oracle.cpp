#include "numerics/attention_oracle.hpp"

#include "support/kernel_test.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <optional>
#include <tuple>

// Shapes: B images, T tokens, H query heads, K key/value heads, E elements a head; S keys.

namespace tessera::test {
namespace {

at::Tensor by_head(const at::Tensor& x) { return x.transpose(1, 2); }

at::Tensor sum_heads(const at::Tensor& x_BHSE, std::int64_t repeats) {
  return by_head(x_BHSE.unflatten(1, {x_BHSE.size(1) / repeats, repeats}).sum(2));
}

}  // namespace

AttentionOracle::AttentionOracle(const AttentionInputs& in, double inputs_error) {
  const at::Tensor q = exact_leaf(in.q_BTHE);
  const at::Tensor k = exact_leaf(in.k_BTKE);
  const at::Tensor v = exact_leaf(in.v_BTKE);
  const std::int64_t repeats = q.size(2) / k.size(2);
  const at::Tensor q_BHTE = by_head(q);
  const at::Tensor k_BHSE = by_head(k.repeat_interleave(repeats, 2));
  const at::Tensor v_BHSE = by_head(v.repeat_interleave(repeats, 2));
  const at::Tensor out_BHTE = std::get<0>(at::_scaled_dot_product_attention_math(
      q_BHTE, k_BHSE, v_BHSE, /*attn_mask=*/std::nullopt, /*dropout_p=*/0, /*is_causal=*/true));
  by_head(out_BHTE).backward(exact(in.dout_BTHE));
  const c10::NoGradGuard no_grad;
  out_BTHE = by_head(out_BHTE).contiguous();
  dq_BTHE = q.grad();
  dk_BTKE = k.grad();
  dv_BTKE = v.grad();
  set_bounds(in, inputs_error);
}

// With S the greatest sum of |q||k|/sqrt(E) in a row: a score is off by (E + 4) S units, a probability by twice that
// and the T units of its sum. A fused kernel rounds p and ds to bf16 before it multiplies by them, takes the sum of
// dout out from the rounded out, and rounds each query head's part of dk and dv. All errors are relative to the same
// formulas with every factor replaced by its magnitude.
void AttentionOracle::set_bounds(const AttentionInputs& in, double inputs_error) {
  const std::int64_t repeats = in.q_BTHE.size(2) / in.k_BTKE.size(2);
  const at::ScalarType type = in.q_BTHE.scalar_type();
  const at::Tensor q = by_head(exact(in.q_BTHE));
  const at::Tensor k = by_head(exact(in.k_BTKE).repeat_interleave(repeats, 2));
  const at::Tensor v = by_head(exact(in.v_BTKE).repeat_interleave(repeats, 2));
  const at::Tensor dout = by_head(exact(in.dout_BTHE));
  const auto length = static_cast<double>(q.size(3));
  const auto tokens = static_cast<double>(q.size(2));
  const double scale = 1 / std::sqrt(length);
  const at::Tensor hidden_TS = at::ones({q.size(2), q.size(2)}, at::kBool).triu(1);
  const double infinity = std::numeric_limits<double>::infinity();
  const at::Tensor scores = (at::matmul(q, k.transpose(2, 3)) * scale).masked_fill(hidden_TS, -infinity);
  const at::Tensor p = at::softmax(scores, -1);
  const at::Tensor size = (at::matmul(q.abs(), k.abs().transpose(2, 3)) * scale).masked_fill(hidden_TS, 0);
  const double score_units = length + 4 + 2 * inputs_error / unit_of(at::kFloat);
  const at::Tensor score_error = score_units * size.amax(-1, true);  // in units
  logsumexp_BHT = at::logsumexp(scores, -1);
  logsumexp_bound = unit_of(at::kFloat) * ((score_error.squeeze(-1) + tokens + 16) + 4 * logsumexp_BHT.abs());

  const double rounding = unit_of(type);
  const double inner = type == at::kBFloat16 ? rounding : 0;
  const at::Tensor p_error = unit_of(at::kFloat) * (2 * score_error + 3 * tokens + 2 * length + 32);
  const at::Tensor p_error_fused = p_error + inner;
  out_bound = by_head(at::matmul(p * p_error_fused, v.abs())) + rounding * out_BTHE.abs();
  const at::Tensor dp = at::matmul(dout.abs(), v.abs().transpose(2, 3));
  const at::Tensor ds = p * (dp + (p * dp).sum(-1, true)) * (p_error + 4 * inner) * scale;
  dq_bound = by_head(at::matmul(ds, k.abs())) + rounding * dq_BTHE.abs();
  const at::Tensor dk = at::matmul(ds.transpose(2, 3), q.abs());
  const at::Tensor dk_parts = at::matmul((p * (dp + (p * dp).sum(-1, true)) * scale).transpose(2, 3), q.abs());
  const at::Tensor dv = at::matmul((p * p_error_fused).transpose(2, 3), dout.abs());
  const at::Tensor dv_parts = at::matmul(p.transpose(2, 3), dout.abs());
  const double parts = repeats > 1 ? inner : 0;
  dk_bound = sum_heads(dk + parts * dk_parts, repeats) + rounding * dk_BTKE.abs();
  dv_bound = sum_heads(dv + parts * dv_parts, repeats) + rounding * dv_BTKE.abs();
}

}  // namespace tessera::test

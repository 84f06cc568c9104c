// Attention against LibTorch's autograd of scaled_dot_product_attention's own formula in fp64.
#include "support/kernel_test.hpp"
#include "tessera/core/error.hpp"

#include <cmath>
#include <tuple>
#include <vector>

// Shapes: B images, T tokens, H query heads, K key/value heads, E elements a head; S keys.

namespace tessera::kernels {
namespace {

using test::exact;
using test::exact_leaf;
using test::expect_within;
using test::unit_of;

struct Shape {
  std::int64_t batch, tokens, query_heads, key_heads, head_dim;
};

/// E = 20 and 264, and a lone token, are what cuDNN has no kernels for.
const std::vector<Shape> kShapes = {
    {1, 1, 1, 1, 16},  {2, 1, 4, 2, 32},    {1, 31, 4, 2, 16},   {2, 33, 4, 4, 32}, {1, 65, 6, 2, 64},
    {2, 49, 8, 1, 64}, {1, 130, 4, 2, 128}, {1, 197, 8, 4, 128}, {1, 9, 4, 2, 20},  {1, 5, 2, 1, 264},
};

struct Inputs {
  at::Tensor q_BTHE, k_BTKE, v_BTKE, dout_BTHE;
};

/// The result in fp64, and bounds for an implementation in `type`.
struct Oracle {
  at::Tensor out_BTHE, dq_BTHE, dk_BTKE, dv_BTKE, logsumexp_BHT;
  at::Tensor out_bound, dq_bound, dk_bound, dv_bound, logsumexp_bound;

  static at::Tensor by_head(const at::Tensor& x) { return x.transpose(1, 2); }

  explicit Oracle(const Inputs& in) {
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
    set_bounds(q_BHTE, k_BHSE, v_BHSE, by_head(exact(in.dout_BTHE)), repeats, in.q_BTHE.scalar_type());
  }

  // With S the greatest sum of |q||k|/sqrt(E) in a row: a score is off by (E + 4) S units, a probability by twice that
  // and the T units of its sum. A fused kernel rounds p and ds to bf16 before it multiplies by them, takes the sum of
  // dout out from the rounded out, and rounds each query head's part of dk and dv. All errors are relative to the same
  // formulas with every factor replaced by its magnitude.
  void set_bounds(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& dout,
                  std::int64_t repeats, at::ScalarType type) {
    const auto length = static_cast<double>(q.size(3));
    const auto tokens = static_cast<double>(q.size(2));
    const double scale = 1 / std::sqrt(length);
    const at::Tensor hidden_TS = at::ones({q.size(2), q.size(2)}, at::kBool).triu(1);
    const double infinity = std::numeric_limits<double>::infinity();
    const at::Tensor scores = (at::matmul(q, k.transpose(2, 3)) * scale).masked_fill(hidden_TS, -infinity);
    const at::Tensor p = at::softmax(scores, -1);
    const at::Tensor size = (at::matmul(q.abs(), k.abs().transpose(2, 3)) * scale).masked_fill(hidden_TS, 0);
    const at::Tensor score_error = (length + 4) * size.amax(-1, true);  // in units
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

  static at::Tensor sum_heads(const at::Tensor& x_BHSE, std::int64_t repeats) {
    return by_head(x_BHSE.unflatten(1, {x_BHSE.size(1) / repeats, repeats}).sum(2));
  }
};

class Attention : public test::KernelTest {
 protected:
  [[nodiscard]] Inputs inputs(const Shape& s, at::ScalarType type) const {
    return {random({s.batch, s.tokens, s.query_heads, s.head_dim}, type, 1),
            random({s.batch, s.tokens, s.key_heads, s.head_dim}, type, 2),
            random({s.batch, s.tokens, s.key_heads, s.head_dim}, type, 3),
            random({s.batch, s.tokens, s.query_heads, s.head_dim}, type, 4)};
  }

  void compare(const Inputs& in) const {
    const Oracle oracle(in);
    const AttentionResult result = ops().attention_forward(in.q_BTHE, in.k_BTKE, in.v_BTKE);
    EXPECT_TRUE(result.out_BTHE.is_contiguous());
    EXPECT_EQ(result.out_BTHE.scalar_type(), in.q_BTHE.scalar_type());
    expect_within(result.out_BTHE, oracle.out_BTHE, oracle.out_bound, "out");
    expect_within(result.logsumexp_BHT, oracle.logsumexp_BHT, oracle.logsumexp_bound, "logsumexp");
    const AttentionGradients gradients =
        ops().attention_backward(in.dout_BTHE, in.q_BTHE, in.k_BTKE, in.v_BTKE, result);
    expect_within(gradients.dq_BTHE, oracle.dq_BTHE, oracle.dq_bound, "dq");
    expect_within(gradients.dk_BTKE, oracle.dk_BTKE, oracle.dk_bound, "dk");
    expect_within(gradients.dv_BTKE, oracle.dv_BTKE, oracle.dv_bound, "dv");
    for (const at::Tensor* gradient : {&gradients.dq_BTHE, &gradients.dk_BTKE, &gradients.dv_BTKE}) {
      EXPECT_TRUE(gradient->is_contiguous());
      EXPECT_EQ(gradient->scalar_type(), in.q_BTHE.scalar_type());
    }
  }
};

TEST_P(Attention, MatchesAutograd) {
  for (const Shape& s : kShapes) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(testing::Message() << s.batch << "x" << s.tokens << " " << s.query_heads << "/" << s.key_heads
                                      << " heads of " << s.head_dim << " " << at::toString(type));
      compare(inputs(s, type));
    }
  }
}

TEST_P(Attention, TakesValuesInsideThePackedProjection) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Inputs in = inputs({2, 33, 4, 2, 64}, type);
    in.v_BTKE = at::cat({in.q_BTHE, in.k_BTKE, in.v_BTKE}, 2).narrow(2, 6, 2);
    in.dout_BTHE = in.dout_BTHE.transpose(1, 2).contiguous().transpose(1, 2);
    compare(in);
  }
}

TEST_P(Attention, SurvivesLargeScores) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Inputs in = inputs({1, 40, 4, 2, 64}, type);
    in.q_BTHE = in.q_BTHE * 64;  // scores of several hundred: exp() of them would be infinite
    compare(in);
  }
}

// Where a query meets several blocks of keys, atomics would add them up in any order.
TEST_P(Attention, RepeatsItsBits) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const Inputs in = inputs({2, 1025, 8, 4, 128}, type);
    const AttentionResult result = ops().attention_forward(in.q_BTHE, in.k_BTKE, in.v_BTKE);
    EXPECT_TRUE(at::equal(result.out_BTHE, ops().attention_forward(in.q_BTHE, in.k_BTKE, in.v_BTKE).out_BTHE));
    const auto first = ops().attention_backward(in.dout_BTHE, in.q_BTHE, in.k_BTKE, in.v_BTKE, result);
    const auto second = ops().attention_backward(in.dout_BTHE, in.q_BTHE, in.k_BTKE, in.v_BTKE, result);
    EXPECT_TRUE(at::equal(first.dq_BTHE, second.dq_BTHE));
    EXPECT_TRUE(at::equal(first.dk_BTKE, second.dk_BTKE));
    EXPECT_TRUE(at::equal(first.dv_BTKE, second.dv_BTKE));
  }
}

TEST_P(Attention, RefusesWhatItCannotTake) {
  const Inputs in = inputs({1, 3, 4, 2, 8}, at::kFloat);
  const at::Tensor k_BT3E = random({1, 3, 3, 8}, at::kFloat, 5);
  EXPECT_THROW(ops().attention_forward(in.q_BTHE, k_BT3E, k_BT3E), core::Error);
  EXPECT_THROW(ops().attention_forward(in.q_BTHE, in.k_BTKE, in.v_BTKE.to(at::kBFloat16)), core::Error);
  EXPECT_THROW(ops().attention_forward(in.q_BTHE.transpose(1, 2), in.k_BTKE, in.v_BTKE), core::Error);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, Attention, test::kImplementations, test::implementation_name);

}  // namespace
}  // namespace tessera::kernels

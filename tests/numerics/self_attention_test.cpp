// Attention from the packed projection against LibTorch's autograd of its parts' formulas in fp64.
#include "numerics/attention_oracle.hpp"
#include "numerics/qk_norm_rope_oracle.hpp"
#include "support/kernel_test.hpp"

#include <ATen/ATen.h>

#include <vector>

// Shapes: B images, T tokens, N = B*T rows, H query heads, K key/value heads, E elements a head, C = (H + 2K) E.

namespace tessera::kernels {
namespace {

using test::AttentionOracle;
using test::exact;
using test::expect_within;
using test::QkNormRopeOracle;
using test::unit_of;

constexpr double kEps = 1e-6;

/// Heads of 128 elements and up to 256 tokens are what our kernels for short sequences take: one tile of 16 and parts
/// of it, one block an SM and two, groups of 1 to 8 query heads. The others go the other way.
const std::vector<HeadShape> kShapes = {
    {1, 1, 2, 2, 128},   {2, 16, 4, 2, 128},  {3, 17, 4, 1, 128},  {1, 49, 10, 2, 128}, {1, 64, 3, 1, 128},
    {1, 65, 8, 1, 128},  {2, 196, 2, 1, 128}, {1, 208, 4, 2, 128}, {1, 209, 1, 1, 128}, {1, 256, 2, 1, 128},
    {1, 257, 2, 1, 128}, {2, 33, 4, 2, 64},   {1, 20, 9, 1, 128},
};

struct Inputs {
  at::Tensor qkv_NC, q_weight_E, k_weight_E, dout_BTHE;
  RotaryTable rotary;
  HeadShape shape;

  [[nodiscard]] SelfAttentionInputs op_inputs() const { return {qkv_NC, q_weight_E, k_weight_E, rotary, shape, kEps}; }
  [[nodiscard]] at::Tensor heads(const at::Tensor& packed_NC, std::int64_t first, std::int64_t count) const {
    return packed_NC.view({shape.batch, shape.tokens, shape.query_heads + 2 * shape.key_heads, shape.head_dim})
        .narrow(2, first, count);
  }
  [[nodiscard]] at::Tensor queries(const at::Tensor& packed_NC) const { return heads(packed_NC, 0, shape.query_heads); }
  [[nodiscard]] at::Tensor keys(const at::Tensor& packed_NC) const {
    return heads(packed_NC, shape.query_heads, shape.key_heads);
  }
  [[nodiscard]] at::Tensor values(const at::Tensor& packed_NC) const {
    return heads(packed_NC, shape.query_heads + shape.key_heads, shape.key_heads);
  }
};

struct Gradients {
  at::Tensor dqkv_NC, dq_weight_E, dk_weight_E;
};

class SelfAttention : public test::KernelTest {
 protected:
  [[nodiscard]] Inputs inputs(const HeadShape& s, at::ScalarType type) const {
    RotaryTable rotary = make_rotary_table(s.tokens, s.head_dim, 1e4);
    rotary = {rotary.cos_TE2.to(device()), rotary.sin_TE2.to(device())};
    return {random({s.batch * s.tokens, (s.query_heads + 2 * s.key_heads) * s.head_dim}, type, 1),
            random({s.head_dim}, type, 2),
            random({s.head_dim}, type, 3),
            random({s.batch, s.tokens, s.query_heads, s.head_dim}, type, 4),
            rotary,
            s};
  }

  [[nodiscard]] Gradients backward(const Inputs& in, const AttentionResult& result) const {
    Gradients gradients;
    gradients.dq_weight_E = at::empty({in.shape.head_dim}, in.qkv_NC.options().dtype(at::kFloat));
    gradients.dk_weight_E = at::empty_like(gradients.dq_weight_E);
    gradients.dqkv_NC = ops().self_attention_backward(in.dout_BTHE, in.op_inputs(), result,
                                                      {{gradients.dq_weight_E}, {gradients.dk_weight_E}});
    return gradients;
  }

  // Attention is measured from the q and k that qk_norm_rope gives: backward takes the very same, forward may round
  // an element of them the other way.
  void compare(const Inputs& in) const {
    const auto [q_BTHE, k_BTKE] =
        ops().qk_norm_rope_forward(in.qkv_NC, in.q_weight_E, in.k_weight_E, in.rotary, in.shape, kEps);
    const test::AttentionInputs parts{q_BTHE, k_BTKE, in.values(in.qkv_NC), in.dout_BTHE};
    const AttentionOracle oracle(parts, unit_of(q_BTHE.scalar_type()));
    const AttentionResult result = ops().self_attention_forward(in.op_inputs());
    EXPECT_TRUE(result.out_BTHE.is_contiguous());
    expect_within(result.out_BTHE, oracle.out_BTHE, oracle.out_bound, "out");
    expect_within(result.logsumexp_BHT, oracle.logsumexp_BHT, oracle.logsumexp_bound, "logsumexp");
    const Gradients made = backward(in, result);
    expect_within(in.values(made.dqkv_NC), oracle.dv_BTKE, oracle.dv_bound, "dv");
    compare_heads(in, in.queries(in.qkv_NC), in.q_weight_E, oracle.dq_BTHE, oracle.dq_bound, in.queries(made.dqkv_NC),
                  made.dq_weight_E, "q");
    compare_heads(in, in.keys(in.qkv_NC), in.k_weight_E, oracle.dk_BTKE, oracle.dk_bound, in.keys(made.dqkv_NC),
                  made.dk_weight_E, "k");
  }

 private:
  // What comes of an error in dy is no more than the size of the result with that error for dy. 8 of dy's units: it
  // is rounded, and the norm's backward adds up 3 E products.
  static void compare_heads(const Inputs& in, const at::Tensor& x, const at::Tensor& weight_E, const at::Tensor& dy,
                            const at::Tensor& dy_bound, const at::Tensor& dx, const at::Tensor& dweight_E,
                            const char* what) {
    const QkNormRopeOracle oracle(x, weight_E, in.rotary, kEps, dy);
    const double unit = unit_of(at::kFloat);
    const double rounding = unit_of(dx.scalar_type());
    const auto length = static_cast<double>(in.shape.head_dim);
    const auto terms = static_cast<double>(dy.numel()) / length;
    const at::Tensor error = dy_bound + rounding * dy.abs() + unit * (3 * length + 32) * dy.abs();
    const QkNormRopeOracle spread(x, weight_E, in.rotary, kEps, error);
    expect_within(dx, oracle.dx_BTAE, spread.dx_size_BTAE + rounding * oracle.dx_BTAE.abs(), what);
    expect_within(dweight_E, oracle.dweight_E,
                  spread.dweight_size_E + unit * (terms + length / 2 + 16) * oracle.dweight_size_E, what);
  }
};

TEST_P(SelfAttention, MatchesAutograd) {
  for (const HeadShape& s : kShapes) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(testing::Message() << s.batch << "x" << s.tokens << " " << s.query_heads << "/" << s.key_heads
                                      << " heads of " << s.head_dim << " " << at::toString(type));
      compare(inputs(s, type));
    }
  }
}

TEST_P(SelfAttention, SurvivesLargeScores) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Inputs in = inputs({1, 40, 4, 2, 128}, type);
    in.q_weight_E = in.q_weight_E * 64;  // scores of several hundred: exp() of them would be infinite
    compare(in);
  }
}

TEST_P(SelfAttention, TakesMisalignedTensors) {
  Inputs in = inputs({2, 9, 4, 2, 128}, at::kBFloat16);
  in.qkv_NC = misaligned(in.qkv_NC);
  compare(in);
}

TEST_P(SelfAttention, RepeatsItsBits) {
  const Inputs in = inputs({is_cuda() ? 16 : 1, is_cuda() ? 196 : 33, 16, 8, 128}, at::kBFloat16);
  const AttentionResult result = ops().self_attention_forward(in.op_inputs());
  const Gradients first = backward(in, ops().self_attention_forward(in.op_inputs()));
  for (int run = 0; run < 3; ++run) {
    const AttentionResult again = ops().self_attention_forward(in.op_inputs());
    EXPECT_TRUE(at::equal(result.out_BTHE, again.out_BTHE));
    EXPECT_TRUE(at::equal(result.logsumexp_BHT, again.logsumexp_BHT));
    const Gradients second = backward(in, again);  // which may overwrite it
    EXPECT_TRUE(at::equal(first.dqkv_NC, second.dqkv_NC));
    EXPECT_TRUE(at::equal(first.dq_weight_E, second.dq_weight_E));
    EXPECT_TRUE(at::equal(first.dk_weight_E, second.dk_weight_E));
  }
}

INSTANTIATE_TEST_SUITE_P(Everywhere, SelfAttention, test::kImplementations, test::implementation_name);

}  // namespace
}  // namespace tessera::kernels

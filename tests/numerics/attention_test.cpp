// Attention against LibTorch's autograd of scaled_dot_product_attention's own formula in fp64.
#include "numerics/attention_oracle.hpp"
#include "support/kernel_test.hpp"
#include "tessera/core/error.hpp"

#include <ATen/ATen.h>

#include <vector>

// Shapes: B images, T tokens, H query heads, K key/value heads, E elements a head; S keys.

namespace tessera::kernels {
namespace {

using test::expect_within;
using Inputs = test::AttentionInputs;
using Oracle = test::AttentionOracle;

struct Shape {
  std::int64_t batch, tokens, query_heads, key_heads, head_dim;
};

/// E = 20 and 264, and a lone token, are what cuDNN has no kernels for.
const std::vector<Shape> kShapes = {
    {1, 1, 1, 1, 16},  {2, 1, 4, 2, 32},    {1, 31, 4, 2, 16},   {2, 33, 4, 4, 32}, {1, 65, 6, 2, 64},
    {2, 49, 8, 1, 64}, {1, 130, 4, 2, 128}, {1, 197, 8, 4, 128}, {1, 9, 4, 2, 20},  {1, 5, 2, 1, 264},
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

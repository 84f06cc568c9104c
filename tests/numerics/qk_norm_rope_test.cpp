// The norm and rotation of q and k against LibTorch's autograd of their formula in fp64.
#include "numerics/qk_norm_rope_oracle.hpp"
#include "support/kernel_test.hpp"
#include "tessera/core/error.hpp"

#include <cmath>
#include <vector>

// Shapes: B images, T tokens, N = B*T rows, H query heads, K key/value heads, A heads of either kind, E elements a
// head, C = (H + 2K) E.

namespace tessera::kernels {
namespace {

using test::exact;
using test::expect_within;
using test::unit_of;
using Oracle = test::QkNormRopeOracle;

constexpr double kEps = 1e-6;

/// E = 16 .. 256 are teams of 1 .. 32 lanes in bf16 or fp32; 96, 6 and 200 are for the scalar kernels.
const std::vector<HeadShape> kShapes = {
    {1, 1, 1, 1, 16},  {2, 31, 4, 2, 16}, {1, 33, 4, 4, 32}, {3, 7, 5, 1, 64},  {2, 49, 4, 2, 128}, {1, 5, 16, 8, 128},
    {2, 3, 8, 2, 256}, {2, 5, 4, 2, 96},  {3, 11, 3, 1, 6},  {1, 9, 6, 3, 200}, {4, 100, 8, 4, 32},
};

struct Inputs {
  at::Tensor qkv_NC, q_weight_E, k_weight_E, dq_BTHE, dk_BTKE, dv_BTKE;
  RotaryTable rotary;
};

class QkNormRope : public test::KernelTest {
 protected:
  [[nodiscard]] Inputs inputs(const HeadShape& s, at::ScalarType type) const {
    RotaryTable rotary = make_rotary_table(s.tokens, s.head_dim, 1e4);
    rotary = {rotary.cos_TE2.to(device()), rotary.sin_TE2.to(device())};
    return {random({s.batch * s.tokens, (s.query_heads + 2 * s.key_heads) * s.head_dim}, type, 1),
            random({s.head_dim}, type, 2),
            random({s.head_dim}, type, 3),
            random({s.batch, s.tokens, s.query_heads, s.head_dim}, type, 4),
            random({s.batch, s.tokens, s.key_heads, s.head_dim}, type, 5),
            random({s.batch, s.tokens, s.key_heads, s.head_dim}, type, 6),
            rotary};
  }

  [[nodiscard]] static at::Tensor heads(const at::Tensor& qkv_NC, const HeadShape& s, std::int64_t first,
                                        std::int64_t count) {
    return qkv_NC.view({s.batch, s.tokens, s.query_heads + 2 * s.key_heads, s.head_dim}).narrow(2, first, count);
  }

  /// The weights' gradients go into `into` and are added to what is there where `accumulate` says so.
  void compare(const Inputs& in, const HeadShape& s, at::ScalarType into, bool accumulate) const {
    const Oracle q(heads(in.qkv_NC, s, 0, s.query_heads), in.q_weight_E, in.rotary, kEps, in.dq_BTHE);
    const Oracle k(heads(in.qkv_NC, s, s.query_heads, s.key_heads), in.k_weight_E, in.rotary, kEps, in.dk_BTKE);
    const QueryKey made = ops().qk_norm_rope_forward(in.qkv_NC, in.q_weight_E, in.k_weight_E, in.rotary, s, kEps);
    const at::Tensor before_E = accumulate ? random({s.head_dim}, into, 7)
                                           : at::full({s.head_dim}, std::nan(""), in.qkv_NC.options().dtype(into));
    const GradientTarget dq_weight{before_E.clone(), accumulate};
    const GradientTarget dk_weight{before_E.clone(), accumulate};
    const at::Tensor dqkv_NC = ops().qk_norm_rope_backward(in.dq_BTHE, in.dk_BTKE, in.dv_BTKE, in.qkv_NC, in.q_weight_E,
                                                           in.k_weight_E, in.rotary, s, kEps, {dq_weight, dk_weight});
    EXPECT_TRUE(made.q_BTHE.is_contiguous() && made.k_BTKE.is_contiguous());
    compare_heads(q, made.q_BTHE, heads(dqkv_NC, s, 0, s.query_heads), "q");
    compare_heads(k, made.k_BTKE, heads(dqkv_NC, s, s.query_heads, s.key_heads), "k");
    EXPECT_TRUE(at::equal(heads(dqkv_NC, s, s.query_heads + s.key_heads, s.key_heads), in.dv_BTKE));
    const at::Tensor added_E = accumulate ? exact(before_E) : at::zeros({s.head_dim}, at::kDouble);
    compare_weight(q, dq_weight.into, added_E, s.batch * s.tokens * s.query_heads, "dq_weight");
    compare_weight(k, dk_weight.into, added_E, s.batch * s.tokens * s.key_heads, "dk_weight");
  }

 private:
  // As in rms_norm_test.cpp, with sums of E terms and the rotation's few operations more; the reciprocal root is made
  // again in backward, and its error of E/2 units comes in with every factor.
  static void compare_heads(const Oracle& oracle, const at::Tensor& y, const at::Tensor& dx, const char* what) {
    const double unit = unit_of(at::kFloat);
    const double rounding = unit_of(y.scalar_type());
    const auto length = static_cast<double>(y.size(-1));
    expect_within(y, oracle.y_BTAE, unit * (length / 2 + 12) * oracle.y_size_BTAE + rounding * oracle.y_BTAE.abs(),
                  what);
    expect_within(dx, oracle.dx_BTAE, unit * (3 * length + 32) * oracle.dx_size_BTAE + rounding * oracle.dx_BTAE.abs(),
                  what);
  }

  static void compare_weight(const Oracle& oracle, const at::Tensor& dweight_E, const at::Tensor& added_E,
                             std::int64_t terms, const char* what) {
    const double unit = unit_of(at::kFloat);
    const at::Tensor expected_E = oracle.dweight_E + added_E;
    const at::Tensor bound_E =
        unit * (static_cast<double>(terms) + static_cast<double>(dweight_E.size(0)) / 2 + 16) * oracle.dweight_size_E +
        (unit + unit_of(dweight_E.scalar_type())) * expected_E.abs();
    expect_within(dweight_E, expected_E, bound_E, what);
  }
};

TEST_P(QkNormRope, MatchesAutograd) {
  for (const HeadShape& shape : kShapes) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(testing::Message() << shape.batch << "x" << shape.tokens << " " << shape.query_heads << "/"
                                      << shape.key_heads << " heads of " << shape.head_dim << " "
                                      << at::toString(type));
      const Inputs in = inputs(shape, type);
      compare(in, shape, at::kFloat, /*accumulate=*/false);
      compare(in, shape, type, /*accumulate=*/false);
      compare(in, shape, type, /*accumulate=*/true);
    }
  }
}

TEST_P(QkNormRope, TakesStridedGradients) {
  const HeadShape shape{2, 9, 4, 2, 32};
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Inputs in = inputs(shape, type);
    // [B, heads, T, E] seen as [B, T, heads, E]; part of a packed tensor; rows that start at no 16-byte boundary
    in.dq_BTHE = in.dq_BTHE.transpose(1, 2).contiguous().transpose(1, 2);
    in.dk_BTKE = at::cat({in.dk_BTKE, in.dv_BTKE}, 2).narrow(2, 0, 2);
    in.dv_BTKE = at::cat({in.dv_BTKE, in.dv_BTKE.narrow(3, 0, 1)}, 3).narrow(3, 0, 32);
    compare(in, shape, type, /*accumulate=*/false);
  }
}

TEST_P(QkNormRope, TakesMisalignedTensors) {
  const HeadShape shape{2, 9, 4, 2, 64};
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Inputs in = inputs(shape, type);
    in.qkv_NC = misaligned(in.qkv_NC);
    compare(in, shape, type, /*accumulate=*/false);
  }
}

TEST_P(QkNormRope, RepeatsItsBits) {
  const HeadShape shape{8, 49, 16, 8, 128};
  const Inputs in = inputs(shape, at::kBFloat16);
  std::vector<at::Tensor> runs;
  for (int run = 0; run < 2; ++run) {
    const at::Tensor dq_weight_E = at::empty({128}, in.q_weight_E.options().dtype(at::kFloat));
    const at::Tensor dk_weight_E = at::empty_like(dq_weight_E);
    const at::Tensor dqkv_NC =
        ops().qk_norm_rope_backward(in.dq_BTHE, in.dk_BTKE, in.dv_BTKE, in.qkv_NC, in.q_weight_E, in.k_weight_E,
                                    in.rotary, shape, kEps, {{dq_weight_E}, {dk_weight_E}});
    runs.push_back(at::cat({dqkv_NC.flatten().to(at::kFloat), dq_weight_E, dk_weight_E}));
  }
  EXPECT_TRUE(at::equal(runs[0], runs[1]));
}

TEST_P(QkNormRope, RefusesWhatItCannotTake) {
  const HeadShape shape{2, 3, 4, 2, 8};
  const Inputs in = inputs(shape, at::kFloat);
  const auto forward = [&](const HeadShape& s, const RotaryTable& rotary) {
    return ops().qk_norm_rope_forward(in.qkv_NC, in.q_weight_E, in.k_weight_E, rotary, s, kEps);
  };
  EXPECT_NO_THROW(forward(shape, in.rotary));
  EXPECT_THROW(forward({2, 3, 4, 3, 8}, in.rotary), core::Error);
  EXPECT_THROW(forward({3, 2, 4, 2, 8}, in.rotary), core::Error);  // a table for 3 tokens
  EXPECT_THROW(forward(shape, {in.rotary.cos_TE2.to(at::kDouble), in.rotary.sin_TE2}), core::Error);
}

TEST(RotaryTable, HoldsTheAnglesOfTheFormula) {
  const RotaryTable table = make_rotary_table(5, 6, 1e6);
  for (int t = 0; t < 5; ++t) {
    for (int i = 0; i < 3; ++i) {
      const double angle = t * std::pow(1e6, -2.0 * i / 6);
      EXPECT_EQ(table.cos_TE2[t][i].item<float>(), static_cast<float>(std::cos(angle)));
      EXPECT_EQ(table.sin_TE2[t][i].item<float>(), static_cast<float>(std::sin(angle)));
    }
  }
  EXPECT_THROW(make_rotary_table(5, 7, 1e6), core::Error);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, QkNormRope, test::kImplementations, test::implementation_name);

}  // namespace
}  // namespace tessera::kernels

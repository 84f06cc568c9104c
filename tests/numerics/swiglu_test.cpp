// SwiGLU against LibTorch's autograd of its formula in fp64.
#include "support/kernel_test.hpp"
#include "tessera/core/error.hpp"

#include <tuple>

// Shapes: N rows, F features.

namespace tessera::kernels {
namespace {

using test::exact;
using test::exact_leaf;
using test::expect_within;
using test::unit_of;

class Swiglu : public test::KernelTest {
 protected:
  struct Backward {
    at::Tensor y_NF, dgate_up_N2F;
  };
  /// On copies.
  [[nodiscard]] Backward backward(const at::Tensor& dy_NF, const at::Tensor& gate_up_N2F) const {
    Backward made{copy_of(dy_NF), copy_of(gate_up_N2F)};
    ops().swiglu_backward(made.y_NF, made.dgate_up_N2F);
    return made;
  }

  void compare(const at::Tensor& gate_up_N2F, const at::Tensor& dy_NF) const {
    const at::Tensor packed = exact_leaf(gate_up_N2F);
    const std::int64_t num_features = dy_NF.size(1);
    const at::Tensor gate = packed.narrow(1, 0, num_features);
    const at::Tensor up = packed.narrow(1, num_features, num_features);
    const at::Tensor y = gate * at::sigmoid(gate) * up;
    y.backward(exact(dy_NF));

    // The exponential's argument is off by a unit of |gate| or two, the rest by a few units. In the gate's gradient,
    // s (1 + g (1 - s)), 1 - s may be nothing but rounding errors, and they are multiplied by g.
    const c10::NoGradGuard no_grad;
    const double unit = unit_of(at::kFloat);
    const double rounding = unit_of(gate_up_N2F.scalar_type());
    const at::Tensor relative = unit * (12 + 3 * gate.abs());
    const at::Tensor dy = exact(dy_NF).abs();
    const at::Tensor dgate_bound = relative * dy * up.abs() * at::sigmoid(gate) * (1 + gate.abs());
    const at::Tensor dup_bound = relative * (dy * gate * at::sigmoid(gate)).abs();
    const at::Tensor y_bound = y.abs() * (relative + rounding);
    expect_within(ops().swiglu_forward(gate_up_N2F), y, y_bound, "y");
    const auto [again_NF, dgate_up_N2F] = backward(dy_NF, gate_up_N2F);
    expect_within(again_NF, y, y_bound, "y again");
    expect_within(dgate_up_N2F, packed.grad(), at::cat({dgate_bound, dup_bound}, 1) + packed.grad().abs() * rounding,
                  "dgate_up");
  }
};

TEST_P(Swiglu, MatchesAutograd) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const auto& [rows, features] :
         {std::tuple{1, 1}, {1, 64}, {31, 7}, {33, 100}, {3, 384}, {5, 3072}, {2, 4104}, {70000, 8}}) {
      SCOPED_TRACE(testing::Message() << rows << " x " << features << " " << at::toString(type));
      compare(3 * random({rows, 2 * features}, type, 1), random({rows, features}, type, 2));
    }
  }
}

TEST_P(Swiglu, TakesMisalignedTensors) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    compare(misaligned(random({33, 512}, type, 1)), misaligned(random({33, 256}, type, 2)));
  }
}

TEST_P(Swiglu, SaturatesWhereTheExponentialWouldOverflow) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor gate_N1 = at::tensor({-1e4, -200.0, -90.0, 90.0, 200.0, 1e4}, at::kDouble).unsqueeze(1);
    const at::Tensor gate_up_N2 = at::cat({gate_N1, at::ones_like(gate_N1)}, 1).to(type).to(device());
    const at::Tensor y_N1 = exact(ops().swiglu_forward(gate_up_N2));
    const at::Tensor dgate_N1 =
        exact(backward(at::ones({6, 1}, gate_up_N2.options()), gate_up_N2).dgate_up_N2F).narrow(1, 0, 1);
    const at::Tensor wanted_N1 = exact(gate_up_N2).narrow(1, 0, 1).clamp_min(0);
    expect_within(y_N1, wanted_N1, at::full_like(wanted_N1, 1e-30), "y");
    expect_within(dgate_N1, (wanted_N1 > 0).to(at::kDouble), at::full_like(wanted_N1, 1e-30), "dgate");
  }
}

TEST_P(Swiglu, RepeatsItsBits) {
  const at::Tensor gate_up_N2F = random({100, 768}, at::kBFloat16, 1);
  const at::Tensor dy_NF = random({100, 384}, at::kBFloat16, 2);
  EXPECT_TRUE(at::equal(ops().swiglu_forward(gate_up_N2F), ops().swiglu_forward(gate_up_N2F)));
  EXPECT_TRUE(at::equal(backward(dy_NF, gate_up_N2F).dgate_up_N2F, backward(dy_NF, gate_up_N2F).dgate_up_N2F));
}

TEST_P(Swiglu, RefusesWhatItCannotTake) {
  EXPECT_THROW(ops().swiglu_forward(random({2, 7}, at::kFloat, 1)), core::Error);
  EXPECT_THROW(ops().swiglu_forward(random({8, 2}, at::kFloat, 1).t()), core::Error);
  EXPECT_THROW(backward(random({2, 8}, at::kFloat, 1), random({2, 8}, at::kFloat, 2)), core::Error);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, Swiglu, test::kImplementations, test::implementation_name);

}  // namespace
}  // namespace tessera::kernels

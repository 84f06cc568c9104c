// RMSNorm against LibTorch's autograd of its formula in fp64.
#include "support/kernel_test.hpp"
#include "tessera/core/error.hpp"

#include <vector>

// Shapes: N rows, D columns.

namespace tessera::kernels {
namespace {

using test::exact;
using test::exact_leaf;
using test::expect_within;
using test::unit_of;

constexpr double kEps = 1e-6;

struct Case {
  std::int64_t rows;
  std::int64_t columns;
  at::ScalarType type;
};

// One row and rows around a warp's width; columns that are no multiple of a vector, fill part of a warp, part of a
// team, a team of several warps, and more than a block of the vector kernels can hold.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const std::int64_t columns : {1, 7, 64, 100, 192, 1024, 2560, 4096, 5120, 5184}) {
      all.push_back({3, columns, type});
    }
    for (const std::int64_t rows : {1, 31, 33, 700}) {
      all.push_back({rows, 320, type});
    }
    all.push_back({2, 40000, type});
  }
  return all;
}

struct Oracle {
  at::Tensor y_ND, rstd_N, dx_ND, dweight_D;
  // magnitudes that rounding errors are relative to
  at::Tensor normalised_ND, gradient_ND, mean_N1, weight_sum_D;

  Oracle(const at::Tensor& x_ND, const at::Tensor& weight_D, const at::Tensor& dy_ND, const at::Tensor& residual_ND) {
    const at::Tensor x = exact_leaf(x_ND);
    const at::Tensor weight = exact_leaf(weight_D);
    const at::Tensor rstd_N1 = (x.square().mean(1, true) + kEps).rsqrt();
    const at::Tensor y = x * rstd_N1 * weight;
    y.backward(exact(dy_ND));
    y_ND = y.detach();
    rstd_N = rstd_N1.detach().squeeze(1);
    dx_ND = residual_ND.defined() ? x.grad() + exact(residual_ND) : x.grad();
    dweight_D = weight.grad();
    normalised_ND = (x * rstd_N1).detach().abs();
    gradient_ND = (exact(dy_ND) * weight.detach()).abs();
    mean_N1 = (gradient_ND * normalised_ND).mean(1, true);
    weight_sum_D = (exact(dy_ND).abs() * normalised_ND).sum(0);
  }
};

class RmsNorm : public test::KernelTest {
 protected:
  struct Inputs {
    at::Tensor x_ND, weight_D, dy_ND, rstd_N, residual_ND;
  };
  /// dx; dy is left as it is.
  [[nodiscard]] at::Tensor backward(const Inputs& in, const GradientTarget& target) const {
    at::Tensor y_ND = copy_of(in.dy_ND);
    at::Tensor dx_ND = ops().rms_norm_backward(y_ND, in.x_ND, in.weight_D, in.rstd_N, in.residual_ND, target);
    // rstd is given: three roundings.
    const at::Tensor made = exact(in.x_ND) * exact(in.rstd_N).unsqueeze(1) * exact(in.weight_D);
    const double error = 3 * unit_of(at::kFloat) + unit_of(in.x_ND.scalar_type());
    expect_within(y_ND, made, made.abs() * error, "y again");
    return dx_ND;
  }

  void compare_forward(const at::Tensor& x_ND, const at::Tensor& weight_D, const Oracle& oracle) const {
    const RmsNormResult result = ops().rms_norm_forward(x_ND, weight_D, kEps);
    // A sum of D squares is off by at most D units (relative), its inverse root by half of that; a few operations more.
    const double rstd_error = (static_cast<double>(x_ND.size(1)) / 2 + 6) * unit_of(at::kFloat);
    EXPECT_EQ(result.y_ND.scalar_type(), x_ND.scalar_type());
    expect_within(result.rstd_N, oracle.rstd_N, oracle.rstd_N * rstd_error, "rstd");
    expect_within(result.y_ND, oracle.y_ND,
                  oracle.y_ND.abs() * (rstd_error + 2 * unit_of(at::kFloat) + unit_of(x_ND.scalar_type())), "y");
  }

  void compare_backward(const at::Tensor& dx_ND, const Oracle& oracle) const {
    // dx = (g - n mean(g n)) r + residual: the mean is off by D units of mean |g n|, everything else by a few.
    const double unit = unit_of(at::kFloat);
    const at::Tensor r_N1 = oracle.rstd_N.unsqueeze(1);
    const at::Tensor bound = unit * r_N1 *
                                 ((static_cast<double>(dx_ND.size(1)) + 16) * oracle.normalised_ND * oracle.mean_N1 +
                                  16 * oracle.gradient_ND) +
                             (2 * unit + unit_of(dx_ND.scalar_type())) * oracle.dx_ND.abs();
    expect_within(dx_ND, oracle.dx_ND, bound, "dx");
  }

  void compare_weight(const at::Tensor& dweight_D, const at::Tensor& before_D, const Oracle& oracle,
                      std::int64_t num_rows) const {
    // A sum of N products: N units of the sum of magnitudes; then rounded to the target's type.
    const at::Tensor expected_D = oracle.dweight_D + before_D;
    const at::Tensor bound_D = (static_cast<double>(num_rows) + 8) * unit_of(at::kFloat) * oracle.weight_sum_D +
                               (unit_of(at::kFloat) + unit_of(dweight_D.scalar_type())) * expected_D.abs();
    expect_within(dweight_D, expected_D, bound_D, "dweight");
  }
};

TEST_P(RmsNorm, MatchesAutograd) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(testing::Message() << c.rows << " x " << c.columns << " " << at::toString(c.type));
    const at::Tensor x_ND = random({c.rows, c.columns}, c.type, 1);
    const at::Tensor weight_D = random({c.columns}, c.type, 2);
    const at::Tensor dy_ND = random({c.rows, c.columns}, c.type, 3);
    for (const bool has_residual : {false, true}) {
      const at::Tensor residual_ND = has_residual ? random({c.rows, c.columns}, c.type, 4) : at::Tensor();
      const Oracle oracle(x_ND, weight_D, dy_ND, residual_ND);
      compare_forward(x_ND, weight_D, oracle);
      const Inputs in{x_ND, weight_D, dy_ND, oracle.rstd_N.to(at::kFloat).to(device()), residual_ND};
      for (const at::ScalarType into : {at::kFloat, c.type}) {
        const at::Tensor poison_D = at::full({c.columns}, std::nan(""), weight_D.options().dtype(into));
        const at::Tensor dx_ND = backward(in, {poison_D, /*accumulate=*/false});
        compare_backward(dx_ND, oracle);
        compare_weight(poison_D, at::zeros({c.columns}, at::kDouble), oracle, c.rows);
        const at::Tensor before_D = random({c.columns}, into, 5);
        const at::Tensor into_D = before_D.clone();
        EXPECT_TRUE(at::equal(backward(in, {into_D, /*accumulate=*/true}), dx_ND));
        compare_weight(into_D, exact(before_D), oracle, c.rows);
      }
    }
  }
}

TEST_P(RmsNorm, TakesMisalignedTensors) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x_ND = misaligned(random({33, 256}, type, 1));
    const at::Tensor weight_D = misaligned(random({256}, type, 2));
    const at::Tensor dy_ND = misaligned(random({33, 256}, type, 3));
    const Oracle oracle(x_ND, weight_D, dy_ND, {});
    compare_forward(x_ND, weight_D, oracle);
    const at::Tensor into_D = misaligned(at::zeros({256}, weight_D.options()));
    const Inputs in{x_ND, weight_D, dy_ND, oracle.rstd_N.to(at::kFloat).to(device()), {}};
    compare_backward(backward(in, {into_D}), oracle);
    compare_weight(into_D, at::zeros({256}, at::kDouble), oracle, 33);
  }
}

TEST_P(RmsNorm, RepeatsItsBits) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x_ND = random({1000, 1024}, type, 1);
    const at::Tensor weight_D = random({1024}, type, 2);
    const at::Tensor dy_ND = random({1000, 1024}, type, 3);
    const RmsNormResult first = ops().rms_norm_forward(x_ND, weight_D, kEps);
    const RmsNormResult second = ops().rms_norm_forward(x_ND, weight_D, kEps);
    EXPECT_TRUE(at::equal(first.y_ND, second.y_ND));
    const at::Tensor one_D = at::empty({1024}, weight_D.options().dtype(at::kFloat));
    const at::Tensor other_D = at::empty_like(one_D);
    const Inputs in{x_ND, weight_D, dy_ND, first.rstd_N, {}};
    const at::Tensor one_ND = backward(in, {one_D});
    const at::Tensor other_ND = backward(in, {other_D});
    EXPECT_TRUE(at::equal(one_ND, other_ND));
    EXPECT_TRUE(at::equal(one_D, other_D));
  }
}

TEST_P(RmsNorm, RefusesWhatItCannotTake) {
  const at::Tensor x_ND = random({2, 8}, at::kFloat, 1);
  const at::Tensor weight_D = random({8}, at::kFloat, 2);
  EXPECT_THROW(ops().rms_norm_forward(x_ND.to(at::kHalf), weight_D.to(at::kHalf), kEps), core::Error);
  EXPECT_THROW(ops().rms_norm_forward(x_ND, weight_D.to(at::kBFloat16), kEps), core::Error);
  EXPECT_THROW(ops().rms_norm_forward(x_ND, weight_D.narrow(0, 0, 7), kEps), core::Error);
  EXPECT_THROW(ops().rms_norm_forward(x_ND.t(), random({2}, at::kFloat, 2), kEps), core::Error);
  const at::Tensor rstd_N = random({2}, at::kFloat, 3);
  EXPECT_THROW(backward({x_ND, weight_D, x_ND, rstd_N, {}}, {at::Tensor()}), core::Error);
  EXPECT_THROW(backward({x_ND, weight_D, x_ND, rstd_N, weight_D}, {weight_D}), core::Error);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, RmsNorm, test::kImplementations, test::implementation_name);

}  // namespace
}  // namespace tessera::kernels

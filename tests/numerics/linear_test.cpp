// The products of a linear layer against the same in fp64.
#include "support/kernel_test.hpp"
#include "tessera/core/error.hpp"

#include <ATen/ATen.h>

#include <vector>

// Shapes: N rows, I columns in, O columns out.

namespace tessera::kernels {
namespace {

using test::exact;
using test::expect_within;
using test::unit_of;

struct Shape {
  std::int64_t rows, in, out;
};
const std::vector<Shape> kShapes = {{1, 1, 1},    {1, 64, 128},   {3, 7, 5},      {31, 100, 33},
                                    {196, 64, 8}, {256, 384, 96}, {392, 128, 257}};

class Linear : public test::KernelTest {
 protected:
  // A sum of `terms` products in fp32, in any order, rounded once, and once more where something is added to it.
  static void expect_product(const at::Tensor& made, const at::Tensor& left, const at::Tensor& right,
                             const at::Tensor& added, const char* what) {
    at::Tensor expected = at::mm(exact(left), exact(right));
    at::Tensor size = at::mm(exact(left).abs(), exact(right).abs());
    if (added.defined()) {
      expected += exact(added);
      size += exact(added).abs();
    }
    const auto terms = static_cast<double>(left.size(1));
    at::Tensor rounded = expected.abs();
    if (added.defined()) {
      rounded = rounded + (expected - exact(added)).abs();
    }
    expect_within(made, expected, (terms + 2) * unit_of(at::kFloat) * size + unit_of(made.scalar_type()) * rounded,
                  what);
  }

  struct Inputs {
    at::Tensor x_NI, weight_OI, dy_NO, residual_NO, before_OI;
  };
  [[nodiscard]] Inputs inputs(const Shape& s, at::ScalarType type) const {
    return {random({s.rows, s.in}, type, 1), random({s.out, s.in}, type, 2), random({s.rows, s.out}, type, 3),
            random({s.rows, s.out}, type, 4), random({s.out, s.in}, type, 5)};
  }

  void compare(const Inputs& in) const {
    expect_product(ops().linear_forward(in.x_NI, in.weight_OI, {}), in.x_NI, in.weight_OI.t(), {}, "y");
    const at::Tensor residual_NO = in.residual_NO.clone();
    expect_product(ops().linear_forward(in.x_NI, in.weight_OI, in.residual_NO), in.x_NI, in.weight_OI.t(),
                   in.residual_NO, "y + residual");
    EXPECT_TRUE(at::equal(residual_NO, in.residual_NO));
    expect_product(ops().linear_input_gradient(in.dy_NO, in.weight_OI), in.dy_NO, in.weight_OI, {}, "dx");
    const at::Tensor into_OI = at::full_like(in.weight_OI, std::nan(""));
    ops().linear_weight_gradient(in.dy_NO, in.x_NI, {into_OI, /*accumulate=*/false});
    expect_product(into_OI, in.dy_NO.t(), in.x_NI, {}, "dW");
    const at::Tensor onto_OI = in.before_OI.clone();
    ops().linear_weight_gradient(in.dy_NO, in.x_NI, {onto_OI, /*accumulate=*/true});
    expect_product(onto_OI, in.dy_NO.t(), in.x_NI, in.before_OI, "dW, accumulated");
  }
};

TEST_P(Linear, MatchesExactProducts) {
  for (const Shape& s : kShapes) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(testing::Message() << s.rows << " x " << s.in << " -> " << s.out << " " << at::toString(type));
      compare(inputs(s, type));
    }
  }
}

// Weights begin where a bucket has room for them, and a projection's parts are rows of its matrix.
TEST_P(Linear, TakesMisalignedAndStridedTensors) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Inputs in = inputs({64, 96, 48}, type);
    in.weight_OI = misaligned(in.weight_OI);
    in.residual_NO = misaligned(in.residual_NO);
    compare(in);
    in = inputs({64, 96, 48}, type);
    in.x_NI = at::cat({in.x_NI, in.dy_NO}, 1).narrow(1, 0, 96);
    in.dy_NO = at::cat({in.dy_NO, in.dy_NO}, 1).narrow(1, 48, 48);
    compare(in);
  }
}

TEST_P(Linear, RepeatsItsBits) {
  const Inputs in = inputs({is_cuda() ? 6272 : 100, 512, 384}, at::kBFloat16);
  const at::Tensor first_NO = ops().linear_forward(in.x_NI, in.weight_OI, in.residual_NO);
  const at::Tensor first_OI = at::empty_like(in.weight_OI);
  ops().linear_weight_gradient(in.dy_NO, in.x_NI, {first_OI});
  for (int run = 0; run < 3; ++run) {
    EXPECT_TRUE(at::equal(first_NO, ops().linear_forward(in.x_NI, in.weight_OI, in.residual_NO)));
    const at::Tensor again_OI = at::empty_like(in.weight_OI);
    ops().linear_weight_gradient(in.dy_NO, in.x_NI, {again_OI});
    EXPECT_TRUE(at::equal(first_OI, again_OI));
  }
}

TEST_P(Linear, RefusesWhatItCannotTake) {
  const Inputs in = inputs({4, 8, 6}, at::kFloat);
  EXPECT_THROW(ops().linear_forward(in.x_NI, in.weight_OI.to(at::kBFloat16), {}), core::Error);
  EXPECT_THROW(ops().linear_forward(in.dy_NO, in.weight_OI, {}), core::Error);
  EXPECT_THROW(ops().linear_forward(in.x_NI, in.weight_OI, in.x_NI), core::Error);
  EXPECT_THROW(ops().linear_forward(in.x_NI.t().contiguous().t(), in.weight_OI, {}), core::Error);
  EXPECT_THROW(ops().linear_input_gradient(in.x_NI, in.weight_OI), core::Error);
  EXPECT_THROW(ops().linear_weight_gradient(in.dy_NO, in.x_NI, {in.x_NI}), core::Error);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, Linear, test::kImplementations, test::implementation_name);

}  // namespace
}  // namespace tessera::kernels

// Moments in fewer bits: what rounding them does to their values.
#include "kernels/optimizer/stochastic_rounding.hpp"
#include "support/kernel_test.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>

namespace tessera::kernels {
namespace {

using test::exact;
using test::parameter_of;

constexpr std::int64_t kSize = 100'000;
constexpr double kSpacing = 1.0 / 128;  // of the bf16 numbers from 1 to 2

class Moments : public test::KernelTest {
 protected:
  // The first moment after a step that changes it from bf16 1 by `change`, with a gradient that says so.
  [[nodiscard]] at::Tensor changed(double change, std::int64_t step, std::int64_t first_element) const {
    const auto fp32 = at::TensorOptions().dtype(at::kFloat).device(device());
    const at::Tensor moment = at::ones({kSize}, fp32.dtype(at::kBFloat16));
    const AdamWState state{parameter_of(at::zeros({kSize}, fp32), at::kFloat), at::full({kSize}, 1 + 10 * change, fp32),
                           moment, at::ones_like(moment), first_element};
    ops().adamw_step(state, {.lr = 1e-3, .beta1 = 0.9, .step = step});
    return moment;
  }
};

// To the nearest, a change of less than half the spacing would be lost in every step. The mean of n roundings errs by
// sqrt(p (1 - p) / n) spacings; five of these are met once in two million tests.
TEST_P(Moments, InBf16KeepTheirMean) {
  for (const double share : {0.01, 0.25, 0.5, 0.9}) {
    const at::Tensor moment = exact(changed(share * kSpacing, 3, 17));
    EXPECT_TRUE((moment.eq(1.0) | moment.eq(1.0 + kSpacing)).all().item<bool>()) << share;
    const double bound = 5 * std::sqrt(share * (1 - share) / kSize);
    EXPECT_NEAR((moment.mean().item<double>() - 1) / kSpacing, share, bound + 1e-4) << share;
  }
}

TEST_P(Moments, InBf16AreRoundedAnewInEveryStepAndElement) {
  const at::Tensor first = changed(kSpacing / 2, 1, 0);
  const auto share_of_equal = [&](const at::Tensor& other) {
    return first.eq(other).to(at::kDouble).mean().item<double>();
  };
  EXPECT_EQ(share_of_equal(changed(kSpacing / 2, 1, 0)), 1);
  EXPECT_NEAR(share_of_equal(changed(kSpacing / 2, 2, 0)), 0.5, 0.01);
  const at::Tensor behind = changed(kSpacing / 2, 1, 1);
  EXPECT_NEAR(share_of_equal(behind), 0.5, 0.01);
  EXPECT_TRUE(at::equal(first.narrow(0, 1, kSize - 1), behind.narrow(0, 0, kSize - 1)));
}

// A resumed run needs the same bits from every later program.
TEST(RoundingBits, AreTheSameForever) {
  using optimizer::rounding_bits;
  constexpr std::int64_t kUpper = std::int64_t{1} << 32U;
  EXPECT_EQ(rounding_bits(1, 0).of(0), 0x6FC2C447U);
  EXPECT_EQ(rounding_bits(1000, 123'456'789).of(7), 0xC042AE48U);
  EXPECT_EQ(rounding_bits(5, 3 * kUpper + 1).of(0), 0x6B29FC96U);
  for (std::uint32_t i = 0; i < 5; ++i) {
    EXPECT_EQ(rounding_bits(9, kUpper - 2).of(i), rounding_bits(9, kUpper - 2 + i).of(0)) << i;
    EXPECT_EQ(rounding_bits(9, 2 * kUpper - 2).of(i), rounding_bits(9, 2 * kUpper - 2 + i).of(0)) << i;
  }
  EXPECT_NE(rounding_bits(9, kUpper).of(0), rounding_bits(9, 0).of(0));
}

INSTANTIATE_TEST_SUITE_P(Everywhere, Moments, test::kImplementations, test::implementation_name);

}  // namespace
}  // namespace tessera::kernels

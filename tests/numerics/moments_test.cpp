// Moments in fewer bits: what rounding them does to their values.
#include "kernels/optimizer/stochastic_rounding.hpp"
#include "support/kernel_test.hpp"
#include "tessera/core/scale_blocks.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>
#include <limits>

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

// What 64 elements of the first moment and of the second become: a step with betas of 0 makes them g and g^2.
void expect_codes_of(const at::Tensor& gradient, const Moment& first, const Moment& second) {
  const auto expect = [](const at::Tensor& values, const Moment& moment, bool is_signed) {
    const Moment expected = test::zero_moment(values, at::kByte);
    core::encode_blocks(values.const_data_ptr<float>(), is_signed, values.numel(),
                        expected.values.mutable_data_ptr<std::uint8_t>(), expected.scales.mutable_data_ptr<float>());
    EXPECT_TRUE(at::equal(moment.values.cpu(), expected.values));
    const auto bits = [](const at::Tensor& scales) { return scales.cpu().nan_to_num(12345).view(at::kInt); };
    EXPECT_TRUE(at::equal(bits(moment.scales), bits(expected.scales)));
  };
  expect(gradient, first, true);
  expect(gradient.square(), second, false);
}

// Whatever a block holds, every device makes the same codes of it. In a range that ends within a block.
TEST_P(Moments, In8BitsAreTheSameCodesForAnyNumbers) {
  constexpr std::int64_t kCount = 64 * 300 - 1;
  const at::Tensor kinds = at::arange(kCount).floor_divide(64).remainder(15);
  // From decades beyond fp32's to the map's own seven, zeros, equal numbers of both signs, and what is not finite.
  const at::Tensor wave = at::arange(kCount).to(at::kDouble).mul(0.7).sin();
  const at::Tensor spread = at::pow(10, wave.abs() * -9) * wave.sign();
  at::Tensor gradient = at::where(kinds.remainder(2).eq(0), wave, spread) * at::pow(10, kinds.to(at::kDouble) * 5 - 45);
  gradient = gradient.to(at::kFloat);
  gradient.narrow(0, 0, 64).zero_();
  gradient.narrow(0, 64, 64).copy_(wave.narrow(0, 64, 64).sign());
  gradient[200] = std::numeric_limits<float>::infinity();
  gradient[300] = -std::numeric_limits<float>::infinity();
  gradient[400] = std::numeric_limits<float>::quiet_NaN();
  for (const bool shifted : {false, true}) {
    const auto place = [&](const at::Tensor& t) { return shifted ? misaligned(t.to(device())) : t.to(device()); };
    const at::Tensor zeros = at::zeros({kCount}, at::TensorOptions().dtype(at::kFloat).device(device()));
    const AdamWState state{parameter_of(zeros, at::kFloat), place(gradient),
                           test::moved(test::zero_moment(zeros, at::kByte), place),
                           test::moved(test::zero_moment(zeros, at::kByte), place)};
    ops().adamw_step(state, {.lr = 0, .beta1 = 0, .beta2 = 0});
    expect_codes_of(gradient, state.exp_avg, state.exp_avg_sq);
    const MomentumState momentum{parameter_of(zeros, at::kFloat), state.gradient,
                                 test::moved(test::zero_moment(zeros, at::kByte), place)};
    ops().momentum_step(momentum, {.lr = 0, .momentum = 0});
    test::expect_same_bits({momentum.momentum_buffer.values, {}}, {state.exp_avg.values, {}});
  }
}

// In every step a moment errs by half an interval of the last decade at most, times its block's greatest, and carries
// on what it erred by before. The update takes it before it is rounded: the first step is that of fp32.
TEST_P(Moments, In8BitsErrByHalfAnInterval) {
  constexpr std::int64_t kCount = 6400;
  const auto state_of = [&](at::ScalarType type) {
    const at::Tensor p = random({kCount}, at::kFloat, 1);
    return AdamWState{parameter_of(p, at::kFloat), p.clone(), test::zero_moment(p, type), test::zero_moment(p, type)};
  };
  const AdamWState wide = state_of(at::kFloat);
  const AdamWState coded = state_of(at::kByte);
  at::Tensor first_bound = at::zeros({kCount}, at::kDouble);
  at::Tensor second_bound = first_bound.clone();
  AdamWParams params{.lr = 1e-2};
  for (params.step = 1; params.step <= 20; ++params.step) {
    wide.gradient.copy_(random({kCount}, at::kFloat, 10 + static_cast<std::uint64_t>(params.step)));
    coded.gradient.copy_(wide.gradient);
    ops().adamw_step(wide, params);
    ops().adamw_step(coded, params);
    const auto carry = [&](at::Tensor& bound, const Moment& moment, double beta, double half_interval) {
      bound = beta * bound + (half_interval + 1e-6) * exact(moment.scales).abs().repeat_interleave(core::kScaleBlock);
    };
    carry(first_bound, coded.exp_avg, params.beta1, 0.45 / 64);
    carry(second_bound, coded.exp_avg_sq, params.beta2, 0.45 / 128);
    test::expect_within(exact(coded.exp_avg, true), exact(wide.exp_avg.values), first_bound, "exp_avg");
    test::expect_within(exact(coded.exp_avg_sq, false), exact(wide.exp_avg_sq.values), second_bound, "exp_avg_sq");
    if (params.step == 1) {
      EXPECT_TRUE(at::equal(coded.parameter.weight, wide.parameter.weight));
    }
  }
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

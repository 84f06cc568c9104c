// AdamW against the formula of torch.optim.AdamW in fp64, and bit for bit against the reference; norms and sums.
// Moments in bf16 are in moments_test.cpp as well.
#include "support/kernel_test.hpp"
#include "tessera/core/error.hpp"

#include <ATen/Parallel.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace tessera::kernels {
namespace {

using test::exact;
using test::expect_within;
using test::parameter_of;
using test::unit_of;
using test::zero_moment;

constexpr std::int64_t kSizes[] = {1, 3, 4, 31, 33, 1000, 4097, 100'003};

/// What torch.optim.AdamW does, in fp64, with a bound on what fp32 may differ by.
struct Oracle {
  at::Tensor p, m, v;
  at::Tensor m_size, bound;

  explicit Oracle(const AdamWState& state)
      : p(exact(join_parameter(state.parameter)).clone()),
        m(exact(state.exp_avg.values).clone()),
        v(exact(state.exp_avg_sq.values).clone()),
        m_size(m.abs()),
        bound(at::zeros_like(p)) {}

  // Every step adds at most 4 units of |p|; and of the update, whose magnitude is that of the average of |g| over the
  // root, 32 units for each step so far, because m and v carry their errors on.
  void step(const at::Tensor& gradient, const AdamWParams& c, int num_steps_so_far) {
    const at::Tensor g = exact(gradient) * c.gradient_scale;
    p = p * (1 - c.lr * c.weight_decay);
    m = m + (g - m) * (1 - c.beta1);
    m_size = m_size + (g.abs() - m_size) * (1 - c.beta1);
    v = v * c.beta2 + (1 - c.beta2) * g * g;
    const auto t = static_cast<double>(c.step);
    const at::Tensor denominator = v.sqrt() / std::sqrt(1 - std::pow(c.beta2, t)) + c.eps;
    const double step_size = c.lr / (1 - std::pow(c.beta1, t));
    p = p - step_size * m / denominator;
    const double unit = unit_of(at::kFloat);
    bound = bound + unit * (4 * p.abs() + 32.0 * num_steps_so_far * step_size * m_size / denominator);
  }
};

struct Types {
  at::ScalarType weight;
  at::ScalarType gradient;
  at::ScalarType moment = at::kFloat;
};

class Optimizer : public test::KernelTest {
 protected:
  static constexpr Types kTypes[] = {{at::kFloat, at::kFloat},
                                     {at::kFloat, at::kBFloat16},
                                     {at::kBFloat16, at::kBFloat16},
                                     {at::kBFloat16, at::kFloat}};
  static constexpr std::int64_t kPlace = (std::int64_t{1} << 32U) - 700;  // among all: indices of 33 bits as well

  [[nodiscard]] AdamWState state(std::int64_t size, const Types& types, at::Device on) const {
    const at::Tensor p = random({size}, at::kFloat, 1).to(on);
    return {parameter_of(p, types.weight), random({size}, types.gradient, 2).to(on), zero_moment(p, types.moment),
            zero_moment(p, types.moment), kPlace};
  }

  static AdamWState moved(const AdamWState& state, bool shifted) {
    const auto move = [&](const at::Tensor& tensor) {
      return !tensor.defined() ? tensor : shifted ? misaligned(tensor) : tensor.clone();
    };
    return {{move(state.parameter.weight), move(state.parameter.low)},
            move(state.gradient),
            test::moved(state.exp_avg, move),
            test::moved(state.exp_avg_sq, move),
            state.first_element};
  }

  static void expect_same_bits(const AdamWState& actual, const AdamWState& expected) {
    const auto same = [](const at::Tensor& a, const at::Tensor& b) { return at::equal(a.cpu(), b.cpu()); };
    const Parameter& parameter = actual.parameter;
    EXPECT_TRUE(same(parameter.weight, expected.parameter.weight));
    EXPECT_TRUE(!parameter.low.defined() || same(parameter.low, expected.parameter.low));
    test::expect_same_bits(actual.exp_avg, expected.exp_avg);
    test::expect_same_bits(actual.exp_avg_sq, expected.exp_avg_sq);
  }
};

TEST_P(Optimizer, StepsAsTorchOptimAdamW) {
  for (const Types& types : kTypes) {
    const AdamWState range = state(1000, types, device());
    Oracle oracle(range);
    AdamWParams params{.lr = 1e-2, .weight_decay = 0.05, .gradient_scale = 0.125};
    int steps = 0;
    for (const std::int64_t step : {1, 2, 3, 4, 5, 1000, 1'000'000, 1'000'001}) {
      range.gradient.copy_(random({1000}, types.gradient, 10 + static_cast<std::uint64_t>(step)));
      params.step = step;
      ops().adamw_step(range, params);
      oracle.step(range.gradient, params, ++steps);
      const at::Tensor parameter = join_parameter(range.parameter);
      expect_within(parameter, oracle.p, oracle.bound, "parameter");
      test::expect_rounded(range.parameter.weight, parameter);
    }
    const double unit = unit_of(at::kFloat);
    expect_within(range.exp_avg.values, oracle.m, 4 * steps * unit * oracle.m_size, "exp_avg");
    expect_within(range.exp_avg_sq.values, oracle.v, 6 * steps * unit * oracle.v, "exp_avg_sq");
  }
}

TEST_P(Optimizer, GivesTheReferencesBits) {
  for (Types types : kTypes) {
    for (const at::ScalarType moment : test::kMomentTypes) {
      for (const std::int64_t size : kSizes) {
        for (const bool shifted : {false, true}) {
          SCOPED_TRACE(testing::Message()
                       << size << " " << at::toString(types.weight) << " " << at::toString(types.gradient) << " "
                       << at::toString(moment) << (shifted ? " misaligned" : ""));
          types.moment = moment;
          const AdamWState expected = state(size, types, at::kCPU);
          const AdamWState actual = moved(state(size, types, device()), shifted);
          for (std::int64_t step = 1; step <= 3; ++step) {
            const AdamWParams params{.lr = 3e-3, .weight_decay = 0.1, .gradient_scale = 0.3, .step = step};
            reference::adamw_step(expected, params);
            ops().adamw_step(actual, params);
          }
          expect_same_bits(actual, expected);
        }
      }
    }
  }
}

TEST_P(Optimizer, KeepsAPieceTheSameAsTheWhole) {
  for (const at::ScalarType moment : test::kMomentTypes) {
    const AdamWState whole = state(1000, {at::kBFloat16, at::kFloat, moment}, device());
    const AdamWState pieces = moved(whole, false);
    const AdamWParams params{.lr = 1e-3, .weight_decay = 0.1, .step = 7};
    ops().adamw_step(whole, params);
    const std::int64_t cut = moment == at::kByte ? 320 : 333;  // codes in whole blocks
    for (const auto& [begin, end] : {std::pair<std::int64_t, std::int64_t>{0, cut}, {cut, 384}, {384, 1000}}) {
      const std::int64_t length = end - begin;
      ops().adamw_step(
          {narrow(pieces.parameter, begin, length), pieces.gradient.narrow(0, begin, length),
           narrow(pieces.exp_avg, begin, length), narrow(pieces.exp_avg_sq, begin, length), kPlace + begin},
          params);
    }
    expect_same_bits(pieces, whole);
  }
}

TEST_P(Optimizer, PassesNonFiniteGradientsOn) {
  for (const at::ScalarType moment : test::kMomentTypes) {
    const AdamWState range = state(96, {at::kBFloat16, at::kFloat, moment}, device());
    range.gradient[5] = std::numeric_limits<float>::quiet_NaN();
    range.gradient[6] = std::numeric_limits<float>::infinity();
    ops().adamw_step(range, {.lr = 1e-3});
    const auto expect_numbers = [](const at::Tensor& changed, std::int64_t count) {
      const at::Tensor is_number = at::isfinite(changed).cpu();
      EXPECT_EQ(is_number.sum().item<std::int64_t>(), count);
      EXPECT_FALSE(is_number[5].item<bool>() || is_number[6].item<bool>());
    };
    expect_numbers(join_parameter(range.parameter), 94);
    const std::int64_t of_moment = moment == at::kByte ? 32 : 94;  // their block goes with them
    expect_numbers(exact(range.exp_avg, true), of_moment);
    expect_numbers(exact(range.exp_avg_sq, false), of_moment);
  }
}

TEST_P(Optimizer, AddsSumsOfSquares) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const std::int64_t size : {0L, 1L, 5L, 4096L, 4097L, 1'000'003L}) {
      for (const bool shifted : {false, true}) {
        SCOPED_TRACE(testing::Message() << size << " " << at::toString(type));
        const at::Tensor flat = shifted ? misaligned(random({size}, type, 1)) : random({size}, type, 1);
        at::Tensor total = at::full({}, 2.0, at::TensorOptions().dtype(at::kDouble).device(device()));
        ops().add_sum_of_squares(flat, total);
        const double sum = exact(flat).square().sum().item<double>();
        EXPECT_NEAR(total.item<double>(), 2 + sum, 1e-12 * (2 + sum)) << "all in fp64";
        at::Tensor again = at::full({}, 2.0, total.options());
        ops().add_sum_of_squares(flat, again);
        EXPECT_EQ(total.item<double>(), again.item<double>());
      }
    }
  }
}

TEST_P(Optimizer, FindsNonFiniteNumbersInSums) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    const at::Tensor flat = random({10'001}, at::kFloat, 1);
    flat[10'000] = bad;
    at::Tensor total = at::zeros({}, at::TensorOptions().dtype(at::kDouble).device(device()));
    ops().add_sum_of_squares(flat, total);
    EXPECT_FALSE(std::isfinite(total.item<double>()));
  }
}

TEST_P(Optimizer, Accumulates) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const std::int64_t size : kSizes) {
      for (const bool shifted : {false, true}) {
        const at::Tensor source = shifted ? misaligned(random({size}, type, 1)) : random({size}, type, 1);
        at::Tensor destination = random({size}, at::kFloat, 2);
        const at::Tensor expected = destination + source.to(at::kFloat);
        ops().accumulate(destination, source);
        EXPECT_TRUE(at::equal(destination, expected)) << size << " " << at::toString(type);
      }
    }
  }
}

TEST_P(Optimizer, RefusesWhatItCannotTake) {
  AdamWState range = state(8, {at::kBFloat16, at::kFloat}, device());
  EXPECT_THROW(ops().adamw_step(range, {.step = 0}), core::Error);
  range.parameter.low = at::Tensor();
  EXPECT_THROW(ops().adamw_step(range, {}), core::Error);
  range = state(8, {at::kFloat, at::kFloat}, device());
  range.exp_avg = range.exp_avg.values.to(at::kBFloat16);
  EXPECT_THROW(ops().adamw_step(range, {}), core::Error);
  range = state(130, {at::kFloat, at::kFloat, at::kByte}, device());
  range.exp_avg_sq.scales = range.exp_avg_sq.scales.narrow(0, 0, 2);
  EXPECT_THROW(ops().adamw_step(range, {}), core::Error) << "130 elements are in three blocks";
  EXPECT_THROW((void)narrow(range.exp_avg, 63, 10), core::Error);
  at::Tensor narrow_total = at::zeros({}, range.gradient.options());
  EXPECT_THROW(ops().add_sum_of_squares(range.gradient, narrow_total), core::Error);
}

TEST(CpuOptimizer, SumsTheSameOnAnyNumberOfThreads) {
  const at::Tensor flat = at::arange(1'000'000, at::kFloat).sin();
  at::Tensor one = at::zeros({}, at::kDouble);
  at::Tensor two = at::zeros({}, at::kDouble);
  const int num_threads = at::get_num_threads();
  at::set_num_threads(1);
  cpu::add_sum_of_squares(flat, one);
  at::set_num_threads(2);
  cpu::add_sum_of_squares(flat, two);
  at::set_num_threads(num_threads);
  EXPECT_EQ(one.item<double>(), two.item<double>());
}

INSTANTIATE_TEST_SUITE_P(Everywhere, Optimizer, test::kImplementations, test::implementation_name);

}  // namespace
}  // namespace tessera::kernels

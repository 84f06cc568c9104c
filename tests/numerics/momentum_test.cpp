// SGD with momentum and a trust ratio: against the formula of torch.optim.SGD in fp64, and bit for bit against the
// reference; and the sums of which LARS makes its ratios.
#include "support/kernel_test.hpp"
#include "tessera/core/error.hpp"

#include <limits>
#include <utility>

namespace tessera::kernels {
namespace {

using test::exact;
using test::expect_within;
using test::parameter_of;
using test::unit_of;

struct Types {
  at::ScalarType weight;
  at::ScalarType gradient;
  at::ScalarType moment = at::kFloat;
};
constexpr Types kTypes[] = {
    {at::kFloat, at::kFloat}, {at::kFloat, at::kBFloat16}, {at::kBFloat16, at::kBFloat16}, {at::kBFloat16, at::kFloat}};

class Momentum : public test::KernelTest {
 protected:
  [[nodiscard]] MomentumState state(std::int64_t size, const Types& types, at::Device on) const {
    const at::Tensor p = random({size}, at::kFloat, 1).to(on);
    return {parameter_of(p, types.weight), random({size}, types.gradient, 2).to(on), test::zero_moment(p, types.moment),
            1000};
  }

  static MomentumState moved(const MomentumState& state, bool shifted) {
    const auto move = [&](const at::Tensor& tensor) {
      return !tensor.defined() ? tensor : shifted ? misaligned(tensor) : tensor.clone();
    };
    return {{move(state.parameter.weight), move(state.parameter.low)},
            move(state.gradient),
            test::moved(state.momentum_buffer, move),
            state.first_element};
  }

  static void expect_same_bits(const MomentumState& actual, const MomentumState& expected) {
    const auto same = [](const at::Tensor& a, const at::Tensor& b) { return at::equal(a.cpu(), b.cpu()); };
    const Parameter& parameter = actual.parameter;
    EXPECT_TRUE(same(parameter.weight, expected.parameter.weight));
    EXPECT_TRUE(!parameter.low.defined() || same(parameter.low, expected.parameter.low));
    test::expect_same_bits(actual.momentum_buffer, expected.momentum_buffer);
  }
};

// b = momentum b + (g + wd p) q; p -= lr b. Each of the few roundings of a step errs by a unit of what it rounds, and
// the buffer carries the errors of every step so far on.
TEST_P(Momentum, StepsAsTorchOptimSgd) {
  for (const Types& types : kTypes) {
    for (const double trust_ratio : {1.0, 0.0625}) {
      const MomentumState range = state(1000, types, device());
      at::Tensor p = exact(join_parameter(range.parameter)).clone();
      at::Tensor b = at::zeros_like(p);
      at::Tensor size = at::zeros_like(p);  // of the buffer's summands
      at::Tensor bound = at::zeros_like(p);
      const MomentumParams params{
          .lr = 1e-2, .momentum = 0.9, .weight_decay = 0.05, .gradient_scale = 0.125, .trust_ratio = trust_ratio};
      for (std::uint64_t step = 1; step <= 6; ++step) {
        range.gradient.copy_(random({1000}, types.gradient, 10 + step));
        ops().momentum_step(range, params);
        const at::Tensor g = exact(range.gradient) * params.gradient_scale;
        b = b * params.momentum + (g + params.weight_decay * p) * trust_ratio;
        size = size * params.momentum + (g.abs() + params.weight_decay * p.abs()) * trust_ratio;
        p = p - params.lr * b;
        const double unit = unit_of(at::kFloat);
        const auto steps = static_cast<double>(step);
        bound = bound + unit * (2 * p.abs() + 8 * steps * params.lr * size);
        const at::Tensor parameter = join_parameter(range.parameter);
        expect_within(parameter, p, bound, "parameter");
        expect_within(range.momentum_buffer.values, b, 8 * steps * unit * size, "momentum_buffer");
        test::expect_rounded(range.parameter.weight, parameter);
      }
    }
  }
}

TEST_P(Momentum, GivesTheReferencesBits) {
  for (Types types : kTypes) {
    for (const at::ScalarType moment : test::kMomentTypes) {
      for (const std::int64_t size : {1L, 3L, 4L, 31L, 33L, 1000L, 4097L, 100'003L}) {
        for (const bool shifted : {false, true}) {
          SCOPED_TRACE(testing::Message()
                       << size << " " << at::toString(types.weight) << " " << at::toString(types.gradient) << " "
                       << at::toString(moment) << (shifted ? " misaligned" : ""));
          types.moment = moment;
          const MomentumState expected = state(size, types, at::kCPU);
          const MomentumState actual = moved(state(size, types, device()), shifted);
          MomentumParams params{
              .lr = 3e-3, .momentum = 0.9, .weight_decay = 0.1, .gradient_scale = 0.3, .trust_ratio = 0.7};
          for (params.step = 1; params.step <= 3; ++params.step) {
            reference::momentum_step(expected, params);
            ops().momentum_step(actual, params);
          }
          expect_same_bits(actual, expected);
        }
      }
    }
  }
}

TEST_P(Momentum, KeepsAPieceTheSameAsTheWhole) {
  for (const at::ScalarType moment : test::kMomentTypes) {
    const MomentumState whole = state(1000, {at::kBFloat16, at::kFloat, moment}, device());
    const MomentumState pieces = moved(whole, false);
    const MomentumParams params{.lr = 1e-3, .weight_decay = 0.1};
    ops().momentum_step(whole, params);
    const std::int64_t cut = moment == at::kByte ? 320 : 333;  // codes in whole blocks
    for (const auto& [begin, end] : {std::pair<std::int64_t, std::int64_t>{0, cut}, {cut, 384}, {384, 1000}}) {
      const std::int64_t length = end - begin;
      ops().momentum_step({narrow(pieces.parameter, begin, length), pieces.gradient.narrow(0, begin, length),
                           narrow(pieces.momentum_buffer, begin, length), pieces.first_element + begin},
                          params);
    }
    expect_same_bits(pieces, whole);
  }
}

TEST_P(Momentum, AddsTheSumsOfWhichTrustRatiosAreMade) {
  for (const Types& types : kTypes) {
    for (const std::int64_t size : {0L, 1L, 5L, 4096L, 4097L, 1'000'003L}) {
      SCOPED_TRACE(testing::Message() << size << " " << at::toString(types.weight) << " "
                                      << at::toString(types.gradient));
      const Parameter parameter = parameter_of(misaligned(random({size}, at::kFloat, 1)), types.weight);
      const at::Tensor p = join_parameter(parameter);
      const at::Tensor g = misaligned(random({size}, types.gradient, 2));
      const auto options = at::TensorOptions().dtype(at::kDouble).device(device());
      at::Tensor sums = at::full({3}, 2.0, options);
      ops().add_trust_sums(parameter, g, sums);
      const at::Tensor products = at::stack({exact(p) * exact(p), exact(p) * exact(g), exact(g) * exact(g)});
      // Products of two fp32 numbers are exact in fp64; sums of n err by at most n units of what is added.
      const double unit = unit_of(at::kDouble) * static_cast<double>(size + 2);
      expect_within(sums, 2 + products.sum(1), unit * (2 + products.abs().sum(1)), "sums");
      at::Tensor again = at::full({3}, 2.0, options);
      ops().add_trust_sums(parameter, g, again);
      EXPECT_TRUE(at::equal(sums, again));
    }
  }
}

// timm's ModelEmaV3: torch.lerp(average, p, 1 - decay). Each of three roundings errs by a unit of what it rounds.
TEST_P(Momentum, AveragesAsTimmsModelEma) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const bool shifted : {false, true}) {
      for (const std::int64_t size : {0L, 1L, 5L, 1000L, 4097L}) {
        SCOPED_TRACE(testing::Message() << size << " " << at::toString(type) << (shifted ? " misaligned" : ""));
        const auto placed = [&](const at::Tensor& tensor) { return shifted ? misaligned(tensor) : tensor; };
        const Parameter parameter = parameter_of(placed(random({size}, at::kFloat, 1)), type);
        const at::Tensor average = placed(random({size}, at::kFloat, 2));
        const at::Tensor host = average.cpu().clone();
        const at::Tensor p = exact(join_parameter(parameter));
        at::Tensor expected = exact(average).clone();
        at::Tensor bound = at::zeros_like(expected);
        for (int step = 0; step < 4; ++step) {
          ops().update_average(parameter, average, 0.9);
          reference::update_average(parameter_of(join_parameter(parameter).cpu(), type), host, 0.9);
          expected = at::lerp(expected, p, 0.1);
          bound = bound + unit_of(at::kFloat) * (2 * expected.abs() + p.abs());
        }
        expect_within(average, expected, bound, "average");
        EXPECT_TRUE(at::equal(average.cpu(), host)) << "bit for bit as the reference";
      }
    }
  }
}

TEST_P(Momentum, RefusesWhatItCannotTake) {
  MomentumState range = state(8, {at::kBFloat16, at::kFloat}, device());
  EXPECT_THROW(ops().momentum_step(range, {.momentum = 1}), core::Error);
  range.parameter.low = at::Tensor();
  EXPECT_THROW(ops().momentum_step(range, {}), core::Error);
  range = state(8, {at::kFloat, at::kFloat}, device());
  at::Tensor two_sums = at::zeros({2}, range.gradient.options().dtype(at::kDouble));
  EXPECT_THROW(ops().add_trust_sums(range.parameter, range.gradient, two_sums), core::Error);
  EXPECT_THROW(ops().update_average(range.parameter, range.gradient.narrow(0, 0, 7), 0.9), core::Error);
  range.momentum_buffer = range.momentum_buffer.values.to(at::kHalf);
  EXPECT_THROW(ops().momentum_step(range, {}), core::Error);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, Momentum, test::kImplementations, test::implementation_name);

}  // namespace
}  // namespace tessera::kernels

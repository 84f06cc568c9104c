#include "kernels/optimizer/arguments.hpp"
#include "kernels/optimizer/stochastic_rounding.hpp"
#include "tessera/kernels/optimizer.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <limits>

// All tensors are flat ranges of the same length.

namespace tessera::kernels::reference {

namespace {

// What a moment is, and which of each element's random bits are its.
struct Kind {
  bool is_signed;
  unsigned shift;
};
constexpr Kind kFirst{true, 0};
constexpr Kind kSecond{false, 16};

// The fp32 numbers that a moment holds.
at::Tensor widened(const Moment& moment, const Kind& kind) {
  if (!moment.scales.defined()) {
    return moment.values.to(at::kFloat);
  }
  const at::Tensor map = at::empty({256}, at::kFloat);
  for (int code = 0; code < 256; ++code) {
    const auto byte = static_cast<std::uint8_t>(code);
    map[code] = kind.is_signed ? core::DynamicMap<true>::share_of(byte) : core::DynamicMap<false>::share_of(byte);
  }
  const at::Tensor scales = moment.scales.repeat_interleave(core::kScaleBlock).narrow(0, 0, moment.values.numel());
  return map.index_select(0, moment.values.to(at::kInt)).mul_(scales);
}

// Stores fp32 `values` as codes, element by element.
void store_codes(const at::Tensor& values, const Moment& moment, bool is_signed) {
  const auto encode = is_signed ? core::DynamicMap<true>::encode : core::DynamicMap<false>::encode;
  auto* const codes = moment.values.mutable_data_ptr<std::uint8_t>();
  for (std::int64_t first = 0; first < values.numel(); first += core::kScaleBlock) {
    const at::Tensor block = values.narrow(0, first, std::min(core::kScaleBlock, values.numel() - first));
    const auto greatest = block.max().item<float>();
    const auto least = block.min().item<float>();
    float scale = greatest >= -least ? greatest : least;
    scale = !std::isfinite(greatest) || !std::isfinite(least) ? std::numeric_limits<float>::quiet_NaN() : scale;
    scale = std::abs(scale) < std::ldexp(1.0F, -100) ? 0.0F : scale;
    moment.scales[first / core::kScaleBlock] = scale;
    for (std::int64_t i = 0; i < block.numel(); ++i) {
      codes[first + i] = encode(block.const_data_ptr<float>()[i] * core::share_factor(scale));
    }
  }
}

// Stores fp32 `values` as bf16: adds the random bits to the half that there is no room for, and cuts that off.
void store_rounded(const at::Tensor& values, const at::Tensor& moment, const optimizer::RoundingBits& bits,
                   unsigned shift) {
  const at::Tensor random = at::empty(values.sizes(), values.options().dtype(at::kInt));
  for (std::int64_t i = 0; i < random.numel(); ++i) {
    random.mutable_data_ptr<std::int32_t>()[i] =
        static_cast<std::int32_t>((bits.of(static_cast<std::uint32_t>(i)) >> shift) & 0xFFFFU);
  }
  const at::Tensor sum =
      at::where(values.isnan(), at::full({}, 0x7FC00000, random.options()), values.view(at::kInt) + random);
  moment.view(at::kShort).copy_(at::bitwise_right_shift(sum, 16));
}

void store_moment(const at::Tensor& values, const Moment& moment, const Kind& kind,
                  const optimizer::RoundingBits& bits) {
  if (moment.scales.defined()) {
    store_codes(values, moment, kind.is_signed);
  } else if (moment.values.scalar_type() == at::kFloat) {
    moment.values.copy_(values);
  } else {
    store_rounded(values, moment.values, bits, kind.shift);
  }
}

}  // namespace

// Each line is made of ATen operations that round once: the order of adamw_update in adamw_element.hpp.
void adamw_step(const AdamWState& state, const AdamWParams& params) {
  optimizer::check_adamw(state, params);
  const optimizer::AdamWConstants c = optimizer::constants_of(params);
  const at::Tensor parameter = join_parameter(state.parameter);
  const at::Tensor exp_avg = widened(state.exp_avg, kFirst);
  const at::Tensor exp_avg_sq = widened(state.exp_avg_sq, kSecond);
  const at::Tensor gradient = state.gradient.to(at::kFloat) * c.gradient_scale;

  parameter.mul_(c.decay);
  exp_avg.add_((gradient - exp_avg).mul_(c.one_minus_beta1));
  exp_avg_sq.mul_(c.beta2).add_((gradient * c.one_minus_beta2).mul_(gradient));
  // ATen's fp32 root may come from a library that is a unit off; the fp64 one, rounded, is the fp32 number nearest to
  // it.
  const at::Tensor root = exp_avg_sq.to(at::kDouble).sqrt().to(at::kFloat);
  const at::Tensor denominator = root.mul_(c.inverse_sqrt_correction2).add_(c.eps);
  parameter.sub_((exp_avg * c.step_size).div_(denominator));
  split_parameter(parameter, state.parameter);
  const optimizer::RoundingBits bits = optimizer::rounding_bits(params.step, state.first_element);
  store_moment(exp_avg, state.exp_avg, kFirst, bits);
  store_moment(exp_avg_sq, state.exp_avg_sq, kSecond, bits);
}

void momentum_step(const MomentumState& state, const MomentumParams& params) {
  optimizer::check_momentum(state, params);
  const optimizer::MomentumConstants c = optimizer::constants_of(params);
  const at::Tensor parameter = join_parameter(state.parameter);
  at::Tensor change = state.gradient.to(at::kFloat) * c.gradient_scale;
  change.add_(parameter * c.weight_decay).mul_(c.trust_ratio);
  const at::Tensor buffer = widened(state.momentum_buffer, kFirst);
  buffer.mul_(c.momentum).add_(change);
  parameter.sub_(buffer * c.lr);
  split_parameter(parameter, state.parameter);
  store_moment(buffer, state.momentum_buffer, kFirst, optimizer::rounding_bits(params.step, state.first_element));
}

void update_average(const Parameter& parameter, const at::Tensor& average, double decay) {
  optimizer::check_average(parameter, average);
  average.add_((join_parameter(parameter) - average).mul_(static_cast<float>(1 - decay)));
}

namespace {

// Sums of sums of 4096: ATen sums the rows of a matrix side by side, each by one thread, and so the order of summation
// does not depend on the number of threads, as that of one long sum would.
at::Tensor sum_by_rows(at::Tensor sums) {
  constexpr std::int64_t kRow = 4096;
  do {
    const std::int64_t padding = (kRow - sums.numel() % kRow) % kRow;
    sums = at::constant_pad_nd(sums, {0, padding}).view({-1, kRow}).sum(1);
  } while (sums.numel() > 1);
  return sums.sum();
}

}  // namespace

void add_sum_of_squares(const at::Tensor& flat, at::Tensor& total) {
  optimizer::check_sum_of_squares(flat, total);
  if (flat.numel() > 0) {
    total.add_(sum_by_rows(flat.to(at::kDouble).square()));
  }
}

void add_trust_sums(const Parameter& parameter, const at::Tensor& gradient, at::Tensor& sums) {
  optimizer::check_trust_sums(parameter, gradient, sums);
  if (gradient.numel() > 0) {
    const at::Tensor p = join_parameter(parameter).to(at::kDouble);
    const at::Tensor g = gradient.to(at::kDouble);
    sums.add_(at::stack({sum_by_rows(p * p), sum_by_rows(p * g), sum_by_rows(g * g)}));
  }
}

void accumulate(at::Tensor& destination, const at::Tensor& source) {
  optimizer::check_accumulate(destination, source);
  destination.add_(source.to(at::kFloat));
}

}  // namespace tessera::kernels::reference

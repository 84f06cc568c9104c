#include "kernels/optimizer/arguments.hpp"
#include "kernels/optimizer/stochastic_rounding.hpp"
#include "tessera/kernels/optimizer.hpp"

#include <ATen/ATen.h>

// All tensors are flat ranges of the same length.

namespace tessera::kernels::reference {

namespace {

// [n] int: 16 of each element's random bits, the lower ones or those above `shift`.
at::Tensor random_bits(const at::Tensor& moment, std::int64_t step, std::int64_t first_element, unsigned shift) {
  const optimizer::RoundingBits bits = optimizer::rounding_bits(step, first_element);
  at::Tensor random = at::empty(moment.sizes(), moment.options().dtype(at::kInt));
  for (std::int64_t i = 0; i < random.numel(); ++i) {
    random.mutable_data_ptr<std::int32_t>()[i] =
        static_cast<std::int32_t>((bits.of(static_cast<std::uint32_t>(i)) >> shift) & 0xFFFFU);
  }
  return random;
}

// Stores fp32 `values`: adds the random bits to the half that a bf16 moment has no room for, and cuts that off.
void store_moment(const at::Tensor& values, const at::Tensor& moment, const at::Tensor& random) {
  if (moment.scalar_type() == at::kFloat) {
    moment.copy_(values);
    return;
  }
  const at::Tensor sum =
      at::where(values.isnan(), at::full({}, 0x7FC00000, random.options()), values.view(at::kInt) + random);
  moment.view(at::kShort).copy_(at::bitwise_right_shift(sum, 16));
}

}  // namespace

// Each line is made of ATen operations that round once: the order of adamw_update in adamw_element.hpp.
void adamw_step(const AdamWState& state, const AdamWParams& params) {
  optimizer::check_adamw(state, params);
  const optimizer::AdamWConstants c = optimizer::constants_of(params);
  const at::Tensor parameter = join_parameter(state.parameter);
  const at::Tensor exp_avg = state.exp_avg.to(at::kFloat);
  const at::Tensor exp_avg_sq = state.exp_avg_sq.to(at::kFloat);
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
  store_moment(exp_avg, state.exp_avg, random_bits(exp_avg, params.step, state.first_element, 0));
  store_moment(exp_avg_sq, state.exp_avg_sq, random_bits(exp_avg_sq, params.step, state.first_element, 16));
}

void momentum_step(const MomentumState& state, const MomentumParams& params) {
  optimizer::check_momentum(state, params);
  const optimizer::MomentumConstants c = optimizer::constants_of(params);
  const at::Tensor parameter = join_parameter(state.parameter);
  at::Tensor change = state.gradient.to(at::kFloat) * c.gradient_scale;
  change.add_(parameter * c.weight_decay).mul_(c.trust_ratio);
  const at::Tensor buffer = state.momentum_buffer.to(at::kFloat);
  buffer.mul_(c.momentum).add_(change);
  parameter.sub_(buffer * c.lr);
  split_parameter(parameter, state.parameter);
  store_moment(buffer, state.momentum_buffer, random_bits(buffer, params.step, state.first_element, 0));
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

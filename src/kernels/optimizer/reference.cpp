#include "kernels/optimizer/arguments.hpp"
#include "tessera/kernels/optimizer.hpp"

#include <ATen/ATen.h>

// All tensors are flat ranges of the same length.

namespace tessera::kernels::reference {

// Each line is made of ATen operations that round once: the order of adamw_update in adamw_element.hpp.
void adamw_step(const AdamWState& state, const AdamWParams& params) {
  optimizer::check_adamw(state, params);
  const optimizer::AdamWConstants c = optimizer::constants_of(params);
  const at::Tensor parameter = join_parameter(state.parameter);
  const at::Tensor& exp_avg = state.exp_avg;
  const at::Tensor& exp_avg_sq = state.exp_avg_sq;
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
}

void momentum_step(const MomentumState& state, const MomentumParams& params) {
  optimizer::check_momentum(state, params);
  const optimizer::MomentumConstants c = optimizer::constants_of(params);
  const at::Tensor parameter = join_parameter(state.parameter);
  at::Tensor change = state.gradient.to(at::kFloat) * c.gradient_scale;
  change.add_(parameter * c.weight_decay).mul_(c.trust_ratio);
  state.momentum_buffer.mul_(c.momentum).add_(change);
  parameter.sub_(state.momentum_buffer * c.lr);
  split_parameter(parameter, state.parameter);
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

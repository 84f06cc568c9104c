#include "kernels/optimizer/arguments.hpp"

#include "kernels/checks.hpp"
#include "tessera/core/error.hpp"

#include <ATen/ATen.h>

#include <cmath>

namespace tessera::kernels::optimizer {

void check_adamw(const AdamWState& state, const AdamWParams& params) {
  Check("adamw_step", "weight", state.weight).is_float().has_dim(1).is_contiguous();
  const at::Device device = state.weight.device();
  const at::IntArrayRef shape = state.weight.sizes();
  Check("adamw_step", "gradient", state.gradient).is_float().has_shape(shape).is_contiguous().is_on(device);
  for (const at::Tensor* moment : {&state.exp_avg, &state.exp_avg_sq}) {
    Check("adamw_step", "moment", *moment).has_type(at::kFloat).has_shape(shape).is_contiguous().is_on(device);
  }
  if (state.weight.scalar_type() == at::kBFloat16) {
    Check("adamw_step", "master", state.master).has_type(at::kFloat).has_shape(shape).is_contiguous().is_on(device);
  } else {
    core::require(!state.master.defined(), "kernels",
                  "adamw_step: an fp32 weight is its own master, and was given one");
  }
  core::require(params.step >= 1, "kernels", "adamw_step: step is {}; the first is 1", params.step);
}

AdamWConstants constants_of(const AdamWParams& params) {
  const auto step = static_cast<double>(params.step);
  const double correction1 = 1 - std::pow(params.beta1, step);
  const double correction2 = 1 - std::pow(params.beta2, step);
  return {.gradient_scale = static_cast<float>(params.gradient_scale),
          .decay = static_cast<float>(1 - params.lr * params.weight_decay),
          .one_minus_beta1 = static_cast<float>(1 - params.beta1),
          .beta2 = static_cast<float>(params.beta2),
          .one_minus_beta2 = static_cast<float>(1 - params.beta2),
          .inverse_sqrt_correction2 = static_cast<float>(1 / std::sqrt(correction2)),
          .eps = static_cast<float>(params.eps),
          .step_size = static_cast<float>(params.lr / correction1)};
}

void check_sum_of_squares(const at::Tensor& flat, const at::Tensor& total) {
  Check("add_sum_of_squares", "flat", flat).is_float().has_dim(1).is_contiguous();
  Check("add_sum_of_squares", "total", total).has_type(at::kDouble).has_shape({}).is_on(flat.device());
}

void check_accumulate(const at::Tensor& destination, const at::Tensor& source) {
  Check("accumulate", "destination", destination).has_type(at::kFloat).has_dim(1).is_contiguous();
  Check("accumulate", "source", source)
      .is_float()
      .has_shape(destination.sizes())
      .is_contiguous()
      .is_on(destination.device());
}

}  // namespace tessera::kernels::optimizer

#include "kernels/optimizer/arguments.hpp"

#include "kernels/checks.hpp"
#include "tessera/core/error.hpp"

#include <ATen/core/Tensor.h>

#include <cmath>
#include <limits>
#include <string_view>

namespace tessera::kernels::optimizer {

namespace {

void check_parameter(std::string_view op, const Parameter& parameter) {
  const at::Tensor& weight = parameter.weight;
  Check(op, "weight", weight).is_float().has_dim(1).is_contiguous();
  const at::Device device = weight.device();
  const at::IntArrayRef shape = weight.sizes();
  if (weight.scalar_type() == at::kBFloat16) {
    Check(op, "low", parameter.low).has_type(at::kShort).has_shape(shape).is_contiguous().is_on(device);
  } else {
    core::require(!parameter.low.defined(), "kernels", "{}: an fp32 weight has no low half, and was given one", op);
  }
}

void check_parameter(std::string_view op, const Parameter& parameter, const at::Tensor& gradient) {
  check_parameter(op, parameter);
  const at::Tensor& weight = parameter.weight;
  Check(op, "gradient", gradient).is_float().has_shape(weight.sizes()).is_contiguous().is_on(weight.device());
}

void check_moment(std::string_view op, const Moment& moment, const at::Tensor& weight) {
  const Check values(op, "moment", moment.values);
  values.has_shape(weight.sizes()).is_contiguous().is_on(weight.device());
  if (moment.scales.defined()) {
    values.has_type(at::kByte);
    Check(op, "scales", moment.scales)
        .has_type(at::kFloat)
        .has_shape({core::num_scale_blocks(weight.numel())})
        .is_contiguous()
        .is_on(weight.device());
  } else {
    values.is_float();
  }
  // Loops and random bits count a range's elements in 32 bits.
  core::require(weight.numel() <= std::numeric_limits<std::uint32_t>::max(), "kernels", "{}: {} elements at once", op,
                weight.numel());
}

}  // namespace

ParameterPointers pointers_of(const Parameter& parameter) {
  if (!parameter.low.defined()) {
    return {.whole = parameter.weight.mutable_data_ptr<float>(), .high = nullptr, .low = nullptr};
  }
  return {.whole = nullptr,
          .high = reinterpret_cast<std::uint16_t*>(parameter.weight.mutable_data_ptr<at::BFloat16>()),
          .low = reinterpret_cast<std::uint16_t*>(parameter.low.mutable_data_ptr<std::int16_t>())};
}

MomentPointers pointers_of(const Moment& moment) {
  if (moment.scales.defined()) {
    return {moment.values.mutable_data_ptr(), core::DType::kFloat32, moment.scales.mutable_data_ptr<float>()};
  }
  return {moment.values.mutable_data_ptr(), dtype_of(moment.values)};
}

void check_adamw(const AdamWState& state, const AdamWParams& params) {
  check_parameter("adamw_step", state.parameter, state.gradient);
  check_moment("adamw_step", state.exp_avg, state.parameter.weight);
  check_moment("adamw_step", state.exp_avg_sq, state.parameter.weight);
  Check("adamw_step", "exp_avg_sq", state.exp_avg_sq.values).has_type(state.exp_avg.values.scalar_type());
  core::require(params.step >= 1, "kernels", "adamw_step: step is {}; the first is 1", params.step);
}

void check_momentum(const MomentumState& state, const MomentumParams& params) {
  check_parameter("momentum_step", state.parameter, state.gradient);
  check_moment("momentum_step", state.momentum_buffer, state.parameter.weight);
  core::require(params.momentum >= 0 && params.momentum < 1, "kernels", "momentum_step: momentum is {}, not in [0, 1)",
                params.momentum);
}

MomentumConstants constants_of(const MomentumParams& params) {
  return {.gradient_scale = static_cast<float>(params.gradient_scale),
          .weight_decay = static_cast<float>(params.weight_decay),
          .trust_ratio = static_cast<float>(params.trust_ratio),
          .momentum = static_cast<float>(params.momentum),
          .lr = static_cast<float>(params.lr)};
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

void check_trust_sums(const Parameter& parameter, const at::Tensor& gradient, const at::Tensor& sums) {
  check_parameter("add_trust_sums", parameter, gradient);
  const at::Device device = parameter.weight.device();
  Check("add_trust_sums", "sums", sums).has_type(at::kDouble).has_shape({3}).is_contiguous().is_on(device);
}

void check_average(const Parameter& parameter, const at::Tensor& average) {
  check_parameter("update_average", parameter);
  Check("update_average", "average", average)
      .has_type(at::kFloat)
      .has_shape(parameter.weight.sizes())
      .is_contiguous()
      .is_on(parameter.weight.device());
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

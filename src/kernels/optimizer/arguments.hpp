#pragma once

#include "kernels/optimizer/adamw_element.hpp"
#include "kernels/optimizer/moment_pointers.hpp"
#include "kernels/optimizer/momentum_element.hpp"
#include "kernels/optimizer/parameter_pointers.hpp"
#include "tessera/kernels/optimizer.hpp"

// What every implementation demands of its arguments, and the constants of one step.

namespace tessera::kernels::optimizer {

ParameterPointers pointers_of(const Parameter& parameter);
MomentPointers pointers_of(const Moment& moment);

void check_adamw(const AdamWState& state, const AdamWParams& params);
AdamWConstants constants_of(const AdamWParams& params);
void check_momentum(const MomentumState& state, const MomentumParams& params);
MomentumConstants constants_of(const MomentumParams& params);
void check_trust_sums(const Parameter& parameter, const at::Tensor& gradient, const at::Tensor& sums);
void check_average(const Parameter& parameter, const at::Tensor& average);
void check_sum_of_squares(const at::Tensor& flat, const at::Tensor& total);
void check_accumulate(const at::Tensor& destination, const at::Tensor& source);

}  // namespace tessera::kernels::optimizer

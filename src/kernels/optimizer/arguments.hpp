#pragma once

#include "kernels/optimizer/adamw_element.hpp"
#include "tessera/kernels/optimizer.hpp"

// What every implementation demands of its arguments, and the constants of one AdamW step.

namespace tessera::kernels::optimizer {

void check_adamw(const AdamWState& state, const AdamWParams& params);
AdamWConstants constants_of(const AdamWParams& params);
void check_sum_of_squares(const at::Tensor& flat, const at::Tensor& total);
void check_accumulate(const at::Tensor& destination, const at::Tensor& source);

}  // namespace tessera::kernels::optimizer

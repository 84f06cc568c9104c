#pragma once

#include "tessera/core/rounded.hpp"

#include <cmath>

// The arithmetic of AdamW for one element, for the CPU loop and the CUDA kernel alike. No ATen here: nvcc compiles it.

namespace tessera::kernels::optimizer {

/// The scalars of one step, computed in fp64 and rounded once.
struct AdamWConstants {
  float gradient_scale;
  float decay;  ///< 1 - lr wd
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float inverse_sqrt_correction2;  ///< 1 / sqrt(1 - beta2^t)
  float eps;
  float step_size;  ///< lr / (1 - beta1^t)
};

struct AdamWElement {
  float parameter;
  float exp_avg;
  float exp_avg_sq;
};

/// One rounded fp32 operation after the other, so that every implementation gives the same bits.
TESSERA_ELEMENT_FUNCTION AdamWElement adamw_update(AdamWElement e, float raw_gradient, const AdamWConstants& c) {
  const float gradient = core::rounded_product(raw_gradient, c.gradient_scale);
  e.parameter = core::rounded_product(e.parameter, c.decay);
  e.exp_avg += core::rounded_product(gradient - e.exp_avg, c.one_minus_beta1);
  e.exp_avg_sq = core::rounded_product(e.exp_avg_sq, c.beta2) +
                 core::rounded_product(core::rounded_product(gradient, c.one_minus_beta2), gradient);
  const float denominator = core::rounded_product(std::sqrt(e.exp_avg_sq), c.inverse_sqrt_correction2) + c.eps;
  e.parameter -= core::rounded_product(e.exp_avg, c.step_size) / denominator;
  return e;
}

}  // namespace tessera::kernels::optimizer

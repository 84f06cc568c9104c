#pragma once

#include <cmath>

// The arithmetic of AdamW for one element, for the CPU loop and the CUDA kernel alike. No ATen here: nvcc compiles it.

#ifdef __CUDACC__
#define TESSERA_ADAMW_FUNCTION __host__ __device__ __forceinline__
#else
#define TESSERA_ADAMW_FUNCTION [[gnu::always_inline]] inline
#endif

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

// A product that is added to something must be rounded first, or the compilers would fuse the two, each in its own way.
// nvcc does not fuse these intrinsics; the CPU loop is compiled with -ffp-contract=off.
TESSERA_ADAMW_FUNCTION float rounded_product(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

/// One rounded fp32 operation after the other, so that every implementation gives the same bits.
TESSERA_ADAMW_FUNCTION AdamWElement adamw_update(AdamWElement e, float raw_gradient, const AdamWConstants& c) {
  const float gradient = rounded_product(raw_gradient, c.gradient_scale);
  e.parameter = rounded_product(e.parameter, c.decay);
  e.exp_avg += rounded_product(gradient - e.exp_avg, c.one_minus_beta1);
  e.exp_avg_sq =
      rounded_product(e.exp_avg_sq, c.beta2) + rounded_product(rounded_product(gradient, c.one_minus_beta2), gradient);
  const float denominator = rounded_product(std::sqrt(e.exp_avg_sq), c.inverse_sqrt_correction2) + c.eps;
  e.parameter -= rounded_product(e.exp_avg, c.step_size) / denominator;
  return e;
}

}  // namespace tessera::kernels::optimizer

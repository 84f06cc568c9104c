#pragma once

#include "kernels/optimizer/adamw_element.hpp"
#include "kernels/optimizer/moment_pointers.hpp"
#include "kernels/optimizer/parameter_pointers.hpp"
#include "kernels/optimizer/stochastic_rounding.hpp"
#include "tessera/core/dtype.hpp"

#include <cuda_runtime_api.h>

#include <cstdint>

// Launchers over raw pointers, for optimizer_cuda.cpp. No ATen here: nvcc compiles it. All ranges have `size` elements.

namespace tessera::kernels::optimizer {

struct AdamWArgs {
  ParameterPointers parameter;
  const void* gradient;
  core::DType gradient_dtype;
  MomentPointers exp_avg;
  MomentPointers exp_avg_sq;  ///< of the same type
  RoundingBits bits;
  std::int64_t size;
};

/// Stream-ordered on `stream`.
void launch_adamw(const AdamWArgs& args, const AdamWConstants& constants, cudaStream_t stream);

struct SumOfSquaresArgs {
  const void* values;
  core::DType dtype;
  std::int64_t size;
  double* partials;  ///< num_sum_partials() of them
  double* total;     ///< added to
};

/// Depends on the size alone.
std::int64_t num_sum_partials(std::int64_t size);

/// Stream-ordered on `stream`.
void launch_sum_of_squares(const SumOfSquaresArgs& args, cudaStream_t stream);

struct AccumulateArgs {
  float* destination;
  const void* source;
  core::DType source_dtype;
  std::int64_t size;
};

/// Stream-ordered on `stream`.
void launch_accumulate(const AccumulateArgs& args, cudaStream_t stream);

}  // namespace tessera::kernels::optimizer

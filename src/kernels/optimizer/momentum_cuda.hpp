#pragma once

#include "kernels/optimizer/moment_pointers.hpp"
#include "kernels/optimizer/momentum_element.hpp"
#include "kernels/optimizer/parameter_pointers.hpp"
#include "kernels/optimizer/stochastic_rounding.hpp"
#include "tessera/core/dtype.hpp"

#include <cuda_runtime_api.h>

#include <cstdint>

// Launchers over raw pointers, for momentum_cuda.cpp. No ATen here: nvcc compiles it. All ranges have `size` elements.

namespace tessera::kernels::optimizer {

struct MomentumArgs {
  ParameterPointers parameter;
  const void* gradient;
  core::DType gradient_dtype;
  MomentPointers buffer;
  RoundingBits bits;
  std::int64_t size;
};

/// Stream-ordered on `stream`.
void launch_momentum(const MomentumArgs& args, const MomentumConstants& constants, cudaStream_t stream);

struct TrustSumsArgs {
  ParameterPointers parameter;
  const void* gradient;
  core::DType gradient_dtype;
  std::int64_t size;
  double* partials;  ///< num_trust_partials() of them
  double* sums;      ///< three, added to
};

/// Depends on the size alone.
std::int64_t num_trust_partials(std::int64_t size);

/// Stream-ordered on `stream`.
void launch_trust_sums(const TrustSumsArgs& args, cudaStream_t stream);

}  // namespace tessera::kernels::optimizer

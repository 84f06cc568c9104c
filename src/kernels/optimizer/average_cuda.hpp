#pragma once

#include "kernels/optimizer/parameter_pointers.hpp"

#include <cuda_runtime_api.h>

#include <cstdint>

// The launcher over raw pointers, for average_cuda.cpp. No ATen here: nvcc compiles it.

namespace tessera::kernels::optimizer {

struct AverageArgs {
  ParameterPointers parameter;
  float* average;
  float share;  ///< 1 - decay
  std::int64_t size;
};

/// Stream-ordered on `stream`.
void launch_average(const AverageArgs& args, cudaStream_t stream);

}  // namespace tessera::kernels::optimizer

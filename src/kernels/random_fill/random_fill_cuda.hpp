#pragma once

#include "kernels/random_fill/random_element.hpp"
#include "tessera/core/dtype.hpp"

#include <cuda_runtime_api.h>

#include <cstdint>

// Launchers over raw pointers, for random_fill_cuda.cpp. No ATen here: nvcc compiles it.

namespace tessera::kernels::random_fill {

struct FillArgs {
  void* flat;
  core::DType dtype;
  std::int64_t size;
  std::int64_t first_element;
  std::uint64_t key;
  Affine affine;
};

/// Stream-ordered on `stream`.
void launch_normal(const FillArgs& args, cudaStream_t stream);
/// Stream-ordered on `stream`.
void launch_uniform(const FillArgs& args, cudaStream_t stream);

}  // namespace tessera::kernels::random_fill

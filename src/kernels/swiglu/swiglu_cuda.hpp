#pragma once

#include "tessera/core/dtype.hpp"

#include <cuda_runtime_api.h>

#include <cstdint>

// Launchers over raw pointers, for swiglu_cuda.cpp. No ATen here: nvcc compiles it. Shapes: N rows, F features.

namespace tessera::kernels::swiglu {

struct ForwardArgs {
  const void* gate_up_N2F;
  void* y_NF;
  std::int64_t num_rows;
  std::int64_t num_features;
};

/// Stream-ordered on `stream`.
void launch_forward(const ForwardArgs& args, core::DType dtype, cudaStream_t stream);

/// In place: dy becomes y, gate_up its gradient.
struct BackwardArgs {
  void* dy_NF;
  void* gate_up_N2F;
  std::int64_t num_rows;
  std::int64_t num_features;
};

/// Stream-ordered on `stream`.
void launch_backward(const BackwardArgs& args, core::DType dtype, cudaStream_t stream);

}  // namespace tessera::kernels::swiglu

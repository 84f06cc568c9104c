#pragma once

#include "tessera/core/dtype.hpp"

#include <cuda_runtime_api.h>

#include <cstdint>

// Launchers over raw pointers, for rms_norm_cuda.cpp. No ATen here: nvcc compiles it. Shapes: N rows, D columns.

namespace tessera::kernels::rms_norm {

struct ForwardArgs {
  const void* x_ND;
  const void* weight_D;
  void* y_ND;
  float* rstd_N;
  std::int64_t num_rows;
  std::int64_t num_columns;
  float eps;
};

/// Stream-ordered on `stream`.
void launch_forward(const ForwardArgs& args, core::DType dtype, cudaStream_t stream);

struct BackwardArgs {
  void* dy_ND;  ///< becomes y
  const void* x_ND;
  const void* weight_D;
  const float* rstd_N;
  const void* residual_ND;  ///< or null
  void* dx_ND;
  float* partial_PD;  ///< P = num_partials() rows of the weight's gradient, to be summed
  std::int64_t num_rows;
  std::int64_t num_columns;
};

/// Depends on the shape alone.
std::int64_t num_partials(std::int64_t num_rows, std::int64_t num_columns, core::DType dtype);

/// Stream-ordered on `stream`.
void launch_backward(const BackwardArgs& args, core::DType dtype, cudaStream_t stream);

}  // namespace tessera::kernels::rms_norm

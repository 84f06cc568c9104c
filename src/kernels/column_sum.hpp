#pragma once

#include "tessera/core/dtype.hpp"

#include <cuda_runtime_api.h>

#include <cstdint>

// The second stage of weight gradients. No ATen here: nvcc compiles it. Shapes: P partial rows, D columns.

namespace tessera::kernels {

struct ColumnSum {
  const float* partial_PD;
  std::int64_t num_rows;
  std::int64_t num_columns;
  void* into_D;
  core::DType dtype;  ///< of into_D
  bool accumulate;    ///< adds to what is there; the sum is rounded once
};

/// Sums the rows in an order that depends on the shape alone. Stream-ordered on `stream`.
void launch_column_sum(const ColumnSum& sum, cudaStream_t stream);

}  // namespace tessera::kernels

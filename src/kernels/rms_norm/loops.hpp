#pragma once

#include <cstdint>

// The vectorised loops of the CPU over fp32 rows, on one thread.

namespace tessera::kernels::rms_norm {

struct ForwardRows {
  const float* x;
  const float* weight;
  float* y;
  float* rstd;
  std::int64_t num_rows;
  std::int64_t num_columns;
  float eps;
};
void forward_rows(const ForwardRows& rows);

struct BackwardRows {
  float* dy;  ///< becomes y
  const float* x;
  const float* weight;
  const float* rstd;
  const float* residual;  ///< or null
  float* dx;
  float* dweight;  ///< overwritten with the sum over these rows
  std::int64_t num_rows;
  std::int64_t num_columns;
};
void backward_rows(const BackwardRows& rows);

}  // namespace tessera::kernels::rms_norm

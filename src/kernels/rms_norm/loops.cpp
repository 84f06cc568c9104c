#include "kernels/rms_norm/loops.hpp"

#include "tessera/core/vector_clones.hpp"

#include <algorithm>
#include <cmath>

// The formulas are derived in reference.cpp.

namespace tessera::kernels::rms_norm {

TESSERA_VECTOR_CLONES void forward_rows(const ForwardRows& rows) {
  const std::int64_t num_columns = rows.num_columns;
  const float* __restrict weight = rows.weight;
  for (std::int64_t row = 0; row < rows.num_rows; ++row) {
    const float* __restrict x = rows.x + row * num_columns;
    float* __restrict y = rows.y + row * num_columns;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < num_columns; ++i) {
      sum += x[i] * x[i];
    }
    const float rstd = 1 / std::sqrt(sum / static_cast<float>(num_columns) + rows.eps);
    rows.rstd[row] = rstd;
    for (std::int64_t i = 0; i < num_columns; ++i) {
      y[i] = x[i] * rstd * weight[i];
    }
  }
}

TESSERA_VECTOR_CLONES void backward_rows(const BackwardRows& rows) {
  const std::int64_t num_columns = rows.num_columns;
  const float* __restrict weight = rows.weight;
  float* __restrict dweight = rows.dweight;
  std::fill_n(dweight, num_columns, 0.0F);
  for (std::int64_t row = 0; row < rows.num_rows; ++row) {
    float* __restrict dy = rows.dy + row * num_columns;
    const float* __restrict x = rows.x + row * num_columns;
    float* __restrict dx = rows.dx + row * num_columns;
    const float rstd = rows.rstd[row];
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (std::int64_t i = 0; i < num_columns; ++i) {
      dot += dy[i] * weight[i] * (x[i] * rstd);
    }
    const float mean_dot = dot / static_cast<float>(num_columns);
    for (std::int64_t i = 0; i < num_columns; ++i) {
      const float normalised = x[i] * rstd;
      dweight[i] += dy[i] * normalised;
      dx[i] = (dy[i] * weight[i] - normalised * mean_dot) * rstd;
      dy[i] = normalised * weight[i];
    }
    if (rows.residual != nullptr) {
      const float* __restrict residual = rows.residual + row * num_columns;
      for (std::int64_t i = 0; i < num_columns; ++i) {
        dx[i] += residual[i];
      }
    }
  }
}

}  // namespace tessera::kernels::rms_norm

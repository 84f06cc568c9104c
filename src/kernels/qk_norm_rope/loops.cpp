#include "kernels/qk_norm_rope/loops.hpp"

#include "tessera/core/vector_clones.hpp"

#include <cmath>

// The formulas are derived in reference.cpp.

namespace tessera::kernels::qk_norm_rope {
namespace {

[[gnu::always_inline]] inline float rstd_of(const float* __restrict x, std::int64_t head_dim, float eps) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < head_dim; ++i) {
    sum += x[i] * x[i];
  }
  return 1 / std::sqrt(sum / static_cast<float>(head_dim) + eps);
}

}  // namespace

TESSERA_VECTOR_CLONES void forward_heads(const ForwardHeads& heads) {
  const std::int64_t half = heads.head_dim / 2;
  const float* __restrict cos = heads.rotation.cos;
  const float* __restrict sin = heads.rotation.sin;
  const float* __restrict weight = heads.weight;
  for (std::int64_t head = 0; head < heads.num_heads; ++head) {
    const float* __restrict x = heads.x + head * heads.head_dim;
    float* __restrict y = heads.y + head * heads.head_dim;
    const float rstd = rstd_of(x, heads.head_dim, heads.eps);
#pragma omp simd
    for (std::int64_t i = 0; i < half; ++i) {
      const float first = x[i] * rstd * weight[i];
      const float second = x[half + i] * rstd * weight[half + i];
      y[i] = first * cos[i] - second * sin[i];
      y[half + i] = second * cos[i] + first * sin[i];
    }
  }
}

TESSERA_VECTOR_CLONES void backward_heads(const BackwardHeads& heads) {
  const std::int64_t half = heads.head_dim / 2;
  const float* __restrict cos = heads.rotation.cos;
  const float* __restrict sin = heads.rotation.sin;
  const float* __restrict weight = heads.weight;
  float* __restrict dweight = heads.dweight;
  for (std::int64_t head = 0; head < heads.num_heads; ++head) {
    const float* __restrict dy = heads.dy + head * heads.dy_stride;
    const float* __restrict x = heads.x + head * heads.head_dim;
    float* __restrict dx = heads.dx + head * heads.head_dim;
    const float rstd = rstd_of(x, heads.head_dim, heads.eps);
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (std::int64_t i = 0; i < half; ++i) {
      const float first = dy[i] * cos[i] + dy[half + i] * sin[i];
      const float second = dy[half + i] * cos[i] - dy[i] * sin[i];
      const float normalised_first = x[i] * rstd;
      const float normalised_second = x[half + i] * rstd;
      dweight[i] += first * normalised_first;
      dweight[half + i] += second * normalised_second;
      dx[i] = first * weight[i];
      dx[half + i] = second * weight[half + i];
      dot += dx[i] * normalised_first + dx[half + i] * normalised_second;
    }
    const float slope = dot / static_cast<float>(heads.head_dim) * rstd;
#pragma omp simd
    for (std::int64_t i = 0; i < heads.head_dim; ++i) {
      dx[i] = (dx[i] - x[i] * slope) * rstd;
    }
  }
}

}  // namespace tessera::kernels::qk_norm_rope

#pragma once

#include "kernels/self_attention/rotation.cuh"

// Gradients on their way back through rotation and norm (qk_norm_rope/reference.cpp derives them).

namespace tessera::kernels::self_attention {

/// Two rows of a gradient on their way back through rotation and norm.
struct NormBackward {
  const Bf16* x[2];  ///< as the projection gave them
  Bf16* dx[2];
  int tokens[2];
  bool is_row[2];
  const void* weight_E;
  float* weights;  ///< [warps][E], to which the weight's gradient is added
};

/// 8 pairs of a row behind the rotation and before it.
struct Pairs {
  float first[8];
  float second[8];

  __device__ __forceinline__ Pairs(const wgmma::Sums<kHeadDim>& dy, int r, int j, const Angles& angles) {
    float a[8];
    float b[8];
    take_elements(a, dy, r, 0, j);
    take_elements(b, dy, r, 1, j);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      first[i] = kScale * (a[i] * angles.cos[i] + b[i] * angles.sin[i]);
      second[i] = kScale * (b[i] * angles.cos[i] - a[i] * angles.sin[i]);
    }
  }
};

/// Of 2 kCount values that the lanes of two halves have, each keeps kCount, summed over both: the upper half the upper
/// ones.
template <int kCount>
__device__ __forceinline__ int fold(float (&values)[32]) {
  const bool is_upper = (lane_id() & kCount) != 0;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const float got = __shfl_xor_sync(kAllLanes, is_upper ? values[i] : values[i + kCount], kCount);
    values[i] = (is_upper ? values[i + kCount] : values[i]) + got;
  }
  return is_upper ? kCount : 0;
}

/// Adds up, over the warp's rows, what each thread has of the 32 elements of its quad place (16 of each half), and adds
/// that to weights[E], the warp's own.
__device__ __forceinline__ void add_weights(float (&dweight)[32], float* weights) {
  int first = fold<16>(dweight);
  first += fold<8>(dweight);
  first += fold<4>(dweight);
  auto* const target = reinterpret_cast<float4*>(weights + first / 16 * kHalf + 16 * quad_place() + first % 16);
  float4 sum = *target;
  sum.x += dweight[0];
  sum.y += dweight[1];
  sum.z += dweight[2];
  sum.w += dweight[3];
  *target = sum;
}

/// dy times 1/sqrt(E), through rotation and norm, rounded to dx.
__device__ __forceinline__ void norm_backward(const wgmma::Sums<kHeadDim>& dy, const NormBackward& rows,
                                              const Inputs& in) {
  RowPair x;
  x.load(rows.x[0], rows.x[1]);
  const auto* const weight = static_cast<const Bf16*>(rows.weight_E) + 16 * quad_place();
  float dweight[32] = {};
  RowAngles angles(in, rows.tokens[0]);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const auto& row = x.at[r];
    const float rstd = rstd_of((sum_of_squares(row[0][0]) + sum_of_squares(row[0][1])) +
                                   (sum_of_squares(row[1][0]) + sum_of_squares(row[1][1])),
                               4, in.eps);
    float weighted[2][2][8];
    float dot = 0;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const Pairs g(dy, r, j, angles.at[j]);
      const Vector<Bf16> first_weight = load_vector(weight + 8 * j);
      const Vector<Bf16> second_weight = load_vector(weight + kHalf + 8 * j);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float a = element(row[0][j], i) * rstd;
        const float b = element(row[1][j], i) * rstd;
        dweight[8 * j + i] += g.first[i] * a;
        dweight[16 + 8 * j + i] += g.second[i] * b;
        weighted[0][j][i] = g.first[i] * element(first_weight, i);
        weighted[1][j][i] = g.second[i] * element(second_weight, i);
        dot += weighted[0][j][i] * a + weighted[1][j][i] * b;
      }
    }
    if (r == 0) {
      angles = RowAngles(in, rows.tokens[1]);
    }
    const float slope = sum_over_lanes(dot, 4) / static_cast<float>(kHeadDim) * rstd;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        float values[8];
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          values[i] = (weighted[half][j][i] - element(row[half][j], i) * slope) * rstd;
        }
        if (rows.is_row[r]) {
          store_vector(rows.dx[r] + half * kHalf + 16 * quad_place() + 8 * j, pack<Bf16>(values));
        }
      }
    }
  }
  add_weights(dweight, rows.weights + static_cast<int>(threadIdx.x) / kWarp * kHeadDim);
}

}  // namespace tessera::kernels::self_attention

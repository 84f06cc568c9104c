#pragma once

#include "kernels/self_attention/sheet.cuh"

// RMSNorm and rotation on the way into attention (qk_norm_rope/reference.cpp derives them).

namespace tessera::kernels::self_attention {

/// cos and sin of 8 neighbouring pairs.
struct Angles {
  float cos[8];
  float sin[8];

  __device__ __forceinline__ Angles(const Inputs& in, int token, int first) {
#pragma unroll
    for (int v = 0; v < 2; ++v) {
      const Vector<float> cosines = load_vector(in.cos_TE2 + token * kHalf + first + 4 * v);
      const Vector<float> sines = load_vector(in.sin_TE2 + token * kHalf + first + 4 * v);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        cos[4 * v + i] = element(cosines, i);
        sin[4 * v + i] = element(sines, i);
      }
    }
  }
};

__device__ __forceinline__ float sum_of_squares(const Vector<Bf16>& vector) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    sum += element(vector, i) * element(vector, i);
  }
  return sum;
}

__device__ __forceinline__ float rstd_of(float sum, int lanes, float eps) {
  return rsqrtf(sum_over_lanes(sum, lanes) / static_cast<float>(kHeadDim) + eps);
}

/// 8 pairs of a row: RMSNorm's last step and the rotation, rounded once.
__device__ __forceinline__ void normalise_and_rotate(Vector<Bf16>& first, Vector<Bf16>& second, float rstd,
                                                     const Bf16* weight, const Angles& angles) {
  const Vector<Bf16> first_weight = load_vector(weight);
  const Vector<Bf16> second_weight = load_vector(weight + kHalf);
  float rotated_first[8];
  float rotated_second[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float a = element(first, i) * rstd * element(first_weight, i);
    const float b = element(second, i) * rstd * element(second_weight, i);
    rotated_first[i] = a * angles.cos[i] - b * angles.sin[i];
    rotated_second[i] = b * angles.cos[i] + a * angles.sin[i];
  }
  first = pack<Bf16>(rotated_first);
  second = pack<Bf16>(rotated_second);
}

/// Those of all the thread's pairs in a row. They are loaded well before they are used: the table is seldom in L1.
struct RowAngles {
  Angles at[2];

  __device__ __forceinline__ RowAngles(const Inputs& in, int token)
      : at{Angles(in, token, 16 * quad_place()), Angles(in, token, 16 * quad_place() + 8)} {}
};

/// Both rows of a pair, which belong to these tokens.
__device__ __forceinline__ void normalise_and_rotate(RowPair& rows, const int (&tokens)[2], const void* weight_E,
                                                     const Inputs& in) {
  const RowAngles angles[2] = {RowAngles(in, tokens[0]), RowAngles(in, tokens[1])};
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    auto& row = rows.at[r];
    const float rstd = rstd_of((sum_of_squares(row[0][0]) + sum_of_squares(row[0][1])) +
                                   (sum_of_squares(row[1][0]) + sum_of_squares(row[1][1])),
                               4, in.eps);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      normalise_and_rotate(row[0][j], row[1][j], rstd, static_cast<const Bf16*>(weight_E) + 16 * quad_place() + 8 * j,
                           angles[r].at[j]);
    }
  }
}

/// Fills the sheets with the key head's keys, normalised and rotated, and values; with zeros behind the last token. All
/// threads of the block.
template <int kThreads>
__device__ __forceinline__ void load_keys_and_values(const Sheet& keys, const Sheet& values, const KeyHead& place,
                                                     const Inputs& in) {
  constexpr int kTeams = kThreads / kHalfVectors;  // of lanes that share a row
  constexpr int kAtOnce = 4;                       // rows of a team, whose loads are under way together
  const auto* const packed = static_cast<const Bf16*>(in.qkv_NC);
  const int v = static_cast<int>(threadIdx.x) % kHalfVectors;
  const auto* const weight = static_cast<const Bf16*>(in.k_weight_E) + 8 * v;
  for (int begin = static_cast<int>(threadIdx.x) / kHalfVectors; begin < keys.num_rows; begin += kTeams * kAtOnce) {
    Vector<Bf16> key[kAtOnce][2];
    Vector<Bf16> value[kAtOnce][2];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const std::int64_t offset = min(begin + k * kTeams, in.dims.tokens - 1) * place.stride + 8 * v;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        key[k][half] = load_vector(packed + place.keys + offset + half * kHalf);
        value[k][half] = load_vector(packed + place.values + offset + half * kHalf);
      }
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int row = begin + k * kTeams;
      const float rstd = rstd_of(sum_of_squares(key[k][0]) + sum_of_squares(key[k][1]), kHalfVectors, in.eps);
      normalise_and_rotate(key[k][0], key[k][1], rstd, weight, Angles(in, min(row, in.dims.tokens - 1), 8 * v));
      if (row < keys.num_rows) {
        const bool is_token = row < in.dims.tokens;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          keys.store(row, half, v, is_token ? key[k][half] : Vector<Bf16>{});
          values.store(row, half, v, is_token ? value[k][half] : Vector<Bf16>{});
        }
      }
    }
  }
}

}  // namespace tessera::kernels::self_attention

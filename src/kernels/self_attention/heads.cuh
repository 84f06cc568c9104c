#pragma once

#include "kernels/self_attention/short_cuda.hpp"
#include "kernels/self_attention/wgmma.cuh"
#include "kernels/vectors.cuh"

// What the forward and the backward kernel share: rows of a head in registers and in shared memory.
//
// The tensor cores give a thread columns 8t + 2q and 8t + 2q + 1 of a row (q = lane % 4, its place in the quad), and
// take the same from it. Here "column" is a name: in each half of a head, the thread is given the 16 neighbouring
// elements 16q .. 16q + 15 under the names of its columns, in their order. So it moves them in vectors of 16 bytes,
// holds both elements that a rotation joins, and needs no other thread but its quad for a row. Shared memory has the
// elements in the places of their names.

namespace tessera::kernels::self_attention {

using Bf16 = __nv_bfloat16;

constexpr int kGroupThreads = 128;       ///< of a warp group
constexpr int kTileRows = 64;            ///< of its products
constexpr int kHalf = kHeadDim / 2;      ///< elements that lie 128 bytes long in shared memory
constexpr int kHalfVectors = kHalf / 8;  ///< 16-byte vectors of a half
constexpr float kLog2E = 1.4426950408889634F;
constexpr float kScale = 0.08838834764831845F;  ///< 1 / sqrt(E)
static_assert(kHeadDim == 128);

__device__ __forceinline__ int lane_id() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ __forceinline__ int quad_place() { return lane_id() % 4; }
/// The first of the thread's two rows in its warp group's 64; the other is 8 further on.
__device__ __forceinline__ int first_row() {
  return static_cast<int>(threadIdx.x) % kGroupThreads / kWarp * 16 + lane_id() / 4;
}

__host__ __device__ constexpr int round_up(int value, int unit) { return (value + unit - 1) / unit * unit; }

/// A tile of query rows: `tokens_per_tile` tokens of each head that reads the key head, one head after the other.
struct Tiling {
  int group;
  int tokens_per_tile;
  int num_tiles;

  __host__ __device__ constexpr explicit Tiling(const Dims& dims)
      : group(dims.query_heads / dims.key_heads),
        tokens_per_tile(kTileRows / group),
        num_tiles((dims.tokens + tokens_per_tile - 1) / tokens_per_tile) {}

  /// One past the last key that a row of the tile may see.
  __device__ __forceinline__ int num_keys(int tile, int num_tokens) const {
    return min((tile + 1) * tokens_per_tile, num_tokens);
  }
};

/// What a row of a tile is. Rows that are none (the last tile's, and those that no head has) have the token -1 as far
/// as keys go, none of which they see, and read row 0.
struct QueryRow {
  int head;   ///< in the group
  int token;  ///< -1: no row
  __device__ __forceinline__ QueryRow(const Tiling& tiling, int tile, int row, int num_tokens)
      : head(row / tiling.tokens_per_tile), token(tile * tiling.tokens_per_tile + row % tiling.tokens_per_tile) {
    if (head >= tiling.group || token >= num_tokens) {
      head = 0;
      token = -1;
    }
  }
  __device__ __forceinline__ bool is_row() const { return token >= 0; }
  __device__ __forceinline__ int readable_token() const { return max(token, 0); }
};

/// Rows of E elements in shared memory, each half apart: what wgmma::describe() says.
struct Sheet {
  std::uint32_t* words;
  int num_rows;  ///< a multiple of 8

  __host__ __device__ static constexpr int bytes(int num_rows) {
    return num_rows * kHeadDim * static_cast<int>(sizeof(Bf16));
  }

  /// Stores elements 8v .. 8v + 7 of a half of a row.
  __device__ __forceinline__ void store(int row, int half, int v, const Vector<Bf16>& vector) const {
    std::uint32_t* const line = words + (half * num_rows + row) * (kHalf / 2);
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      line[(((4 * (v % 2) + w) ^ (row & 7)) << 2) + v / 2] = vector.word[w];
    }
  }

  /// As the factor whose rows are multiplied along, 16 elements of half `half` from the 16 x `step`th on.
  __device__ __forceinline__ std::uint64_t along(int first, int half, int step) const {
    return wgmma::describe(words + (half * num_rows + first) * (kHalf / 2) + step * 8, 8 * 128, 0);
  }
  /// As the factor whose rows are added up: 16 rows from `first` on, all columns.
  __device__ __forceinline__ std::uint64_t across(int first) const {
    return wgmma::describe(words + first * (kHalf / 2), 8 * 128, static_cast<std::uint32_t>(num_rows) * 128);
  }
};

/// Makes what the block stored in shared memory visible to the tensor cores; a barrier has to follow.
__device__ __forceinline__ void publish() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/// The thread's parts of two rows: [r][half][j] has elements 16q + 8j to 16q + 8j + 7 of the half.
struct RowPair {
  Vector<Bf16> at[2][2][2];

  __device__ __forceinline__ void load(const Bf16* first, const Bf16* second) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const Bf16* const row = (r == 0 ? first : second) + 16 * quad_place();
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          at[r][half][j] = load_vector(row + half * kHalf + 8 * j);
        }
      }
    }
  }

  /// The `step`th 16 columns of a half, as a left factor.
  __device__ __forceinline__ wgmma::Left left(int half, int step) const {
    const Vector<Bf16>& low = at[0][half][step / 2];
    const Vector<Bf16>& high = at[1][half][step / 2];
    const int w = step % 2 * 2;
    return {{low.word[w], high.word[w], low.word[w + 1], high.word[w + 1]}};
  }
};

/// Enqueues sums = left x (kKeys rows of the sheet)^T.
template <int kKeys>
__device__ __forceinline__ void begin_scores(wgmma::Sums<kKeys>& sums, const RowPair& left, const Sheet& rows,
                                             int first) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      wgmma::multiply_add<false>(sums, left.left(half, step), rows.along(first, half, step), half + step > 0);
    }
  }
}

/// 16 columns of results, rounded to bf16, as a left factor.
template <int kColumns>
__device__ __forceinline__ wgmma::Left rounded(const wgmma::Sums<kColumns>& sums, int step) {
  const auto pair = [&](int t, int i) {
    const __nv_bfloat162 both = __floats2bfloat162_rn(sums.at[t][i], sums.at[t][i + 1]);
    return *reinterpret_cast<const std::uint32_t*>(&both);
  };
  return {{pair(2 * step, 0), pair(2 * step, 2), pair(2 * step + 1, 0), pair(2 * step + 1, 2)}};
}

/// Enqueues sums += left (16 x kKeys, rounded) x kKeys rows of the sheet.
template <int kKeys>
__device__ __forceinline__ void begin_add(wgmma::Sums<kHeadDim>& sums, const wgmma::Left (&left)[kKeys / 16],
                                          const Sheet& rows, int first) {
#pragma unroll
  for (int step = 0; step < kKeys / 16; ++step) {
    wgmma::multiply_add<true>(sums, left[step], rows.across(first + 16 * step), true);
  }
}

template <int kKeys>
__device__ __forceinline__ void round_all(wgmma::Left (&left)[kKeys / 16], const wgmma::Sums<kKeys>& sums) {
#pragma unroll
  for (int step = 0; step < kKeys / 16; ++step) {
    left[step] = rounded(sums, step);
  }
}

/// Elements 8 of a half from 16q + 8j on, of row r, out of a result of E columns.
__device__ __forceinline__ void take_elements(float (&values)[8], const wgmma::Sums<kHeadDim>& sums, int r, int half,
                                              int j) {
#pragma unroll
  for (int w = 0; w < 4; ++w) {
    values[2 * w] = sums.at[8 * half + 4 * j + w][2 * r];
    values[2 * w + 1] = sums.at[8 * half + 4 * j + w][2 * r + 1];
  }
}

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

/// Both rows of a pair, which belong to these tokens. Leaves their rstd in `rstd`.
__device__ __forceinline__ void normalise_and_rotate(RowPair& rows, const int (&tokens)[2], const void* weight_E,
                                                     const Inputs& in, float (&rstd)[2]) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    auto& row = rows.at[r];
    rstd[r] = rstd_of((sum_of_squares(row[0][0]) + sum_of_squares(row[0][1])) +
                          (sum_of_squares(row[1][0]) + sum_of_squares(row[1][1])),
                      4, in.eps);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int first = 16 * quad_place() + 8 * j;
      normalise_and_rotate(row[0][j], row[1][j], rstd[r], static_cast<const Bf16*>(weight_E) + first,
                           Angles(in, tokens[r], first));
    }
  }
}

/// The block's place: its key head and image, and where these begin in the packed projection.
struct KeyHead {
  int head;
  std::int64_t first_row;  ///< of the image
  std::int64_t stride;     ///< elements of a packed row
  std::int64_t queries;    ///< offsets of the group's first query head, the key head and the value head in the packed
  std::int64_t keys;       ///< projection, from the image's first row on
  std::int64_t values;

  __device__ __forceinline__ explicit KeyHead(const Dims& dims)
      : head(static_cast<int>(blockIdx.x)),
        first_row(static_cast<std::int64_t>(blockIdx.y) * dims.tokens),
        stride(static_cast<std::int64_t>(dims.query_heads + 2 * dims.key_heads) * kHeadDim),
        queries(first_row * stride + head * (dims.query_heads / dims.key_heads) * kHeadDim),
        keys(first_row * stride + (dims.query_heads + head) * kHeadDim),
        values(keys + dims.key_heads * kHeadDim) {}
};

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

/// Calls `work(integral_constant<int, n>)` for n = 16, 32, 48 or 64.
template <class Work>
__device__ __forceinline__ void for_columns(int columns, const Work& work) {
  switch (columns) {
    case 16:
      work(std::integral_constant<int, 16>{});
      break;
    case 32:
      work(std::integral_constant<int, 32>{});
      break;
    case 48:
      work(std::integral_constant<int, 48>{});
      break;
    default:
      work(std::integral_constant<int, 64>{});
  }
}

}  // namespace tessera::kernels::self_attention

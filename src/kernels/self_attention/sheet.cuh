#pragma once

#include "kernels/self_attention/tiling.cuh"
#include "kernels/self_attention/wgmma.cuh"

#include <type_traits>

// Rows of a head in registers and in shared memory, and their products.
//
// The tensor cores give a thread columns 8t + 2q and 8t + 2q + 1 of a row (q = lane % 4, its place in the quad), and
// take the same from it. Here "column" is a name: in each half of a head, the thread is given the 16 neighbouring
// elements 16q .. 16q + 15 under the names of its columns, in their order. So it moves them in vectors of 16 bytes,
// holds both elements that a rotation joins, and needs no other thread but its quad for a row. Shared memory has the
// elements in the places of their names.

namespace tessera::kernels::self_attention {

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

#pragma once

#include "kernels/self_attention/backward_block.cuh"

// Where a thread's query rows lie, and their way into registers ahead of time.

namespace tessera::kernels::self_attention {

/// The thread's two rows of a tile of queries.
struct QueryPair {
  bool is_row[2];
  int token[2];            ///< -1: no row
  int place[2];            ///< in [B, T, H, E], in rows of E; some row's where there is none
  std::int64_t packed[2];  ///< of the query in the packed projection
  int sum[2];              ///< of the row in logsumexp_BHT

  __device__ __forceinline__ QueryPair(const KeyHead& place_of_key, const Tiling& tiling, const Dims& dims, int index) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const QueryRow row(tiling, index, first_row() + 8 * r, dims.tokens);
      const int head = place_of_key.head * tiling.group + row.head;
      is_row[r] = row.is_row();
      token[r] = row.token;
      place[r] = (static_cast<int>(place_of_key.first_row) + row.readable_token()) * dims.query_heads + head;
      packed[r] = place_of_key.queries + row.readable_token() * place_of_key.stride + row.head * kHeadDim;
      sum[r] = (static_cast<int>(blockIdx.y) * dims.query_heads + head) * dims.tokens + row.readable_token();
    }
  }
};

/// Rows of q and dO that the thread fetches ahead, into places in shared memory that are its own.
struct Ahead {
  uint4* slots;  ///< [16][threads of the group]

  __device__ __forceinline__ explicit Ahead(const Shared& shared)
      : slots(reinterpret_cast<uint4*>(shared.queries.words) + threadIdx.x % kGroupThreads) {}

  __device__ __forceinline__ void begin(const BackwardArgs& args, const QueryPair& pair) const {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      fetch(8 * r, static_cast<const Bf16*>(args.in.qkv_NC) + pair.packed[r]);
      fetch(8 * r + 4, static_cast<const Bf16*>(args.dout_BTHE) + static_cast<std::int64_t>(pair.place[r]) * kHeadDim);
    }
  }

  __device__ __forceinline__ void take(RowPair& queries, RowPair& douts) const {
    asm volatile("cp.async.wait_all;" ::: "memory");
#pragma unroll
    for (int r = 0; r < 2; ++r) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          const uint4* const slot = slots + (8 * r + 2 * half + j) * kGroupThreads;
          queries.at[r][half][j] = load_vector(reinterpret_cast<const Bf16*>(slot));
          douts.at[r][half][j] = load_vector(reinterpret_cast<const Bf16*>(slot + 4 * kGroupThreads));
        }
      }
    }
  }

 private:
  __device__ __forceinline__ void fetch(int first, const Bf16* row) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const auto to = static_cast<std::uint32_t>(__cvta_generic_to_shared(slots + (first + i) * kGroupThreads));
      const Bf16* const from = row + 16 * quad_place() + i / 2 * kHalf + i % 2 * 8;
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from));
    }
  }
};
static_assert(16 * kGroupThreads * sizeof(uint4) == 2 * Sheet::bytes(kTileRows));

}  // namespace tessera::kernels::self_attention

#pragma once

#include "kernels/self_attention/short_cuda.hpp"
#include "kernels/vectors.cuh"

// Which rows and keys a block, a warp group and a thread have. Shapes as in short_cuda.hpp.

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

}  // namespace tessera::kernels::self_attention

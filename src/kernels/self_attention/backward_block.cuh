#pragma once

#include "kernels/self_attention/sheet.cuh"

#include <cuda/std/limits>

// What a block of the backward kernel has in shared memory, and how its two warp groups share the work.

namespace tessera::kernels::self_attention {

constexpr int kGroups = 2;
constexpr int kThreads = kGroups * kGroupThreads;
constexpr int kWarps = kThreads / kWarp;
constexpr int kAlong = 64;  ///< keys in a piece of the first pass, and in a tile of the second
constexpr float kInfinity = cuda::std::numeric_limits<float>::infinity();

__device__ __forceinline__ int group_id() { return static_cast<int>(threadIdx.x) / kGroupThreads; }

/// A barrier of the warp group's threads alone.
__device__ __forceinline__ void synchronise_group() {
  asm volatile("bar.sync %0, %1;" ::"r"(group_id() + 1), "n"(kGroupThreads) : "memory");
}

/// Piece `index` of those that cost less and less, dealt out so that both groups get about the same.
__device__ __forceinline__ bool is_mine(int index) { return (index + 1) / 2 % 2 == group_id(); }

/// What the first pass finds out about the query rows, for the second.
struct QueryFacts {
  float* log2_sum;  ///< log2 of the sum of exp(score); infinite where there is no row, so that P = 0
  float* delta;     ///< rowsum(dO O)
  int* token;       ///< -1 where there is no row
  int* place;       ///< of the row in [B, T, H, E], in rows of E

  static constexpr int kBytes = 4 * 4;  // a row's
};

struct Shared {
  Sheet keys;
  Sheet values;
  Sheet queries;     ///< this group's tile in the second pass,
  Sheet douts;       ///< and its gradients. In the first pass: 16 vectors a thread, fetched ahead
  QueryFacts facts;  ///< of all tiles' rows
  float* q_weights;  ///< [warps][E], sums of the norms' weight gradients
  float* k_weights;

  static constexpr int bytes(const Dims& dims) {
    return 2 * Sheet::bytes(round_up(dims.tokens, 16)) + 2 * kGroups * Sheet::bytes(kTileRows) +
           Tiling(dims).num_tiles * kTileRows * QueryFacts::kBytes +
           2 * kWarps * kHeadDim * static_cast<int>(sizeof(float));
  }

  __device__ __forceinline__ Shared(std::uint32_t* words, const Dims& dims, const Tiling& tiling) {
    const int num_rows = round_up(dims.tokens, 16);
    constexpr int kTileWords = Sheet::bytes(kTileRows) / 4;
    keys = {words, num_rows};
    values = {words + Sheet::bytes(num_rows) / 4, num_rows};
    std::uint32_t* const tiles = words + 2 * Sheet::bytes(num_rows) / 4;
    queries = {tiles + 2 * group_id() * kTileWords, kTileRows};
    douts = {tiles + (2 * group_id() + 1) * kTileWords, kTileRows};
    const int num_query_rows = tiling.num_tiles * kTileRows;
    facts.log2_sum = reinterpret_cast<float*>(tiles + 2 * kGroups * kTileWords);
    facts.delta = facts.log2_sum + num_query_rows;
    facts.token = reinterpret_cast<int*>(facts.delta + num_query_rows);
    facts.place = facts.token + num_query_rows;
    q_weights = reinterpret_cast<float*>(facts.place + num_query_rows);
    k_weights = q_weights + kWarps * kHeadDim;
  }
};

/// exp(score - logsumexp).
__device__ __forceinline__ float probability(float score, float log2_sum) {
  return exp2f(fmaf(score, kScale * kLog2E, -log2_sum));
}

}  // namespace tessera::kernels::self_attention

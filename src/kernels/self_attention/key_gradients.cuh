#pragma once

#include "kernels/self_attention/backward_block.cuh"
#include "kernels/self_attention/norm_backward.cuh"

// The backward kernel's second pass.

namespace tessera::kernels::self_attention {

/// The thread's share of a tile of query rows and their gradients, on its way to the group's sheets.
struct QueryVectors {
  static constexpr int kTeams = kGroupThreads / kHalfVectors;  // of lanes that share a row
  static constexpr int kRows = kTileRows / kTeams;             // of a team

  Vector<Bf16> query[kRows][2];
  Vector<Bf16> dout[kRows][2];

  __device__ __forceinline__ static int vector_place() { return static_cast<int>(threadIdx.x) % kHalfVectors; }
  __device__ __forceinline__ static int row(int k) {
    return k * kTeams + static_cast<int>(threadIdx.x) % kGroupThreads / kHalfVectors;
  }

  /// Zeros where there is no row.
  __device__ __forceinline__ void load(const BackwardArgs& args, const QueryFacts& facts, int index) {
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      const int fact = index * kTileRows + row(k);
      const std::int64_t offset = static_cast<std::int64_t>(facts.place[fact]) * kHeadDim + 8 * vector_place();
      const bool is_row = facts.token[fact] >= 0;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        query[k][half] = Vector<Bf16>{};
        dout[k][half] = Vector<Bf16>{};
        if (is_row) {
          query[k][half] = load_vector(static_cast<const Bf16*>(args.out_BTHE) + offset + half * kHalf);
          dout[k][half] = load_vector(static_cast<const Bf16*>(args.dout_BTHE) + offset + half * kHalf);
        }
      }
    }
  }

  __device__ __forceinline__ void store(const Shared& shared) const {
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        shared.queries.store(row(k), half, vector_place(), query[k][half]);
        shared.douts.store(row(k), half, vector_place(), dout[k][half]);
      }
    }
  }
};

struct KeyGradients {
  wgmma::Sums<kHeadDim> dk;
  wgmma::Sums<kHeadDim> dv;
};

/// Zero where the key, the result's row, comes after the query, its column.
__device__ __forceinline__ void hide_later_keys(wgmma::Sums<kTileRows>& p, wgmma::Sums<kTileRows>& gradient,
                                                const QueryFacts& facts, int first_key, int index) {
#pragma unroll
  for (int t = 0; t < kTileRows / 8; ++t) {
    const int2 token = *reinterpret_cast<const int2*>(facts.token + index * kTileRows + 8 * t + 2 * quad_place());
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const bool hidden = first_key + first_row() + 8 * (i / 2) > (i % 2 == 0 ? token.x : token.y);
      p.at[t][i] = hidden ? 0 : p.at[t][i];
      gradient.at[t][i] = hidden ? 0 : gradient.at[t][i];
    }
  }
}

/// dV += P^T dO and dK += dS^T Q over the tile of query rows in the group's sheets, for the 64 keys from `first_key`
/// on. Calls `meanwhile` while the tensor cores are at work and the thread has little but sums in its registers.
template <class Work>
__device__ __forceinline__ void add_key_gradients(KeyGradients& sums, const Shared& shared, const Tiling& tiling,
                                                  int first_key, int index, const Work& meanwhile) {
  wgmma::Sums<kTileRows> p;         // scores, then P: rows are keys, columns queries
  wgmma::Sums<kTileRows> gradient;  // dP, then dS
  wgmma::pin(p);
  wgmma::pin(gradient);
  wgmma::begin();
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      wgmma::multiply_add(p, shared.keys.along(first_key, half, step), shared.queries.along(0, half, step),
                          half + step > 0);
      wgmma::multiply_add(gradient, shared.values.along(first_key, half, step), shared.douts.along(0, half, step),
                          half + step > 0);
    }
  }
  wgmma::commit();
  wgmma::wait();
  wgmma::pin(p);
  wgmma::pin(gradient);
#pragma unroll
  for (int t = 0; t < kTileRows / 8; ++t) {
    const int column = 8 * t + 2 * quad_place();
    const float2 log2_sum = *reinterpret_cast<const float2*>(shared.facts.log2_sum + index * kTileRows + column);
    const float2 delta = *reinterpret_cast<const float2*>(shared.facts.delta + index * kTileRows + column);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      p.at[t][i] = probability(p.at[t][i], i % 2 == 0 ? log2_sum.x : log2_sum.y);
      gradient.at[t][i] = p.at[t][i] * (gradient.at[t][i] - (i % 2 == 0 ? delta.x : delta.y));
    }
  }
  if (first_key + kAlong - 1 > index * tiling.tokens_per_tile) {
    hide_later_keys(p, gradient, shared.facts, first_key, index);
  }
  wgmma::Left left_p[kTileRows / 16];
  wgmma::Left left_gradient[kTileRows / 16];
  round_all<kTileRows>(left_p, p);
  round_all<kTileRows>(left_gradient, gradient);
  wgmma::pin(sums.dv);
  wgmma::pin(sums.dk);
  wgmma::begin();
  begin_add<kTileRows>(sums.dv, left_p, shared.douts, 0);
  begin_add<kTileRows>(sums.dk, left_gradient, shared.queries, 0);
  wgmma::commit();
  meanwhile();
  wgmma::wait();
  wgmma::pin(sums.dv);
  wgmma::pin(sums.dk);
}

/// The second pass, for 64 keys.
__device__ __forceinline__ void key_gradients(const BackwardArgs& args, const Shared& shared, const KeyHead& place,
                                              const Tiling& tiling, int first_key) {
  const Inputs& in = args.in;
  KeyGradients sums;
  sums.dk.clear();
  sums.dv.clear();
  int index = first_key / tiling.tokens_per_tile;
  QueryVectors vectors;
  vectors.load(args, shared.facts, index);
  for (; index < tiling.num_tiles; ++index) {
    synchronise_group();  // all have done with the tile before
    vectors.store(shared);
    publish();
    synchronise_group();
    // After the last tile for nothing: a condition would keep the old ones in registers all the time.
    add_key_gradients(sums, shared, tiling, first_key, index,
                      [&] { vectors.load(args, shared.facts, min(index + 1, tiling.num_tiles - 1)); });
  }
  const int tokens[2] = {first_key + first_row(), first_key + first_row() + 8};
  const int last = in.dims.tokens - 1;
  const int readable[2] = {min(tokens[0], last), min(tokens[1], last)};
  auto* const dqkv = static_cast<Bf16*>(args.dqkv_NC);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        float values[8];
        take_elements(values, sums.dv, r, half, j);
        if (tokens[r] <= last) {
          store_vector(dqkv + place.values + tokens[r] * place.stride + half * kHalf + 16 * quad_place() + 8 * j,
                       pack<Bf16>(values));
        }
      }
    }
  }
  const auto* const packed = static_cast<const Bf16*>(in.qkv_NC);
  const std::int64_t offsets[2] = {place.keys + readable[0] * place.stride, place.keys + readable[1] * place.stride};
  norm_backward(sums.dk,
                {{packed + offsets[0], packed + offsets[1]},
                 {dqkv + offsets[0], dqkv + offsets[1]},
                 {readable[0], readable[1]},
                 {tokens[0] <= last, tokens[1] <= last},
                 in.k_weight_E,
                 shared.k_weights},
                in);
}

}  // namespace tessera::kernels::self_attention

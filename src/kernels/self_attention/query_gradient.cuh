#pragma once

#include "kernels/self_attention/norm_backward.cuh"
#include "kernels/self_attention/query_pair.cuh"

// The backward kernel's first pass.

namespace tessera::kernels::self_attention {

/// The thread's share of a tile.
struct QueryTile {
  RowPair queries;
  RowPair douts;
  int token[2];
  float log2_sum[2];
  float delta[2];
};

__device__ __forceinline__ float dot(const Vector<Bf16>& a, const Vector<Bf16>& b) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    sum += element(a, i) * element(b, i);
  }
  return sum;
}

/// Normalises and rotates the queries, puts them where O was, and notes the rows' facts.
__device__ __forceinline__ void prepare(QueryTile& tile, const QueryPair& pair, const BackwardArgs& args,
                                        const QueryFacts& facts, int index) {
  Bf16* const outs = static_cast<Bf16*>(args.out_BTHE);
  Bf16* const rows[2] = {outs + static_cast<std::int64_t>(pair.place[0]) * kHeadDim,
                         outs + static_cast<std::int64_t>(pair.place[1]) * kHeadDim};
  RowPair out;
  out.load(rows[0], rows[1]);
  const int readable[2] = {max(pair.token[0], 0), max(pair.token[1], 0)};
  normalise_and_rotate(tile.queries, readable, args.in.q_weight_E, args.in);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float sum = 0;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        sum += dot(out.at[r][half][j], tile.douts.at[r][half][j]);
        if (pair.is_row[r]) {
          store_vector(rows[r] + half * kHalf + 16 * quad_place() + 8 * j, tile.queries.at[r][half][j]);
        }
      }
    }
    sum = sum_over_lanes(sum, 4);
    tile.token[r] = pair.token[r];
    tile.delta[r] = pair.is_row[r] ? sum : 0;
    tile.log2_sum[r] = pair.is_row[r] ? args.logsumexp_BHT[pair.sum[r]] * kLog2E : kInfinity;
    if (quad_place() == 0) {
      const int row = index * kTileRows + first_row() + 8 * r;
      facts.log2_sum[row] = tile.log2_sum[r];
      facts.delta[row] = tile.delta[r];
      facts.token[row] = tile.token[r];
      facts.place[row] = pair.place[r];
    }
  }
}

/// dQ += dS K over kKeys keys from row `first` on.
template <int kKeys>
__device__ __forceinline__ void add_query_gradient(wgmma::Sums<kHeadDim>& dq, const QueryTile& tile,
                                                   const Shared& shared, int first, bool is_diagonal) {
  wgmma::Sums<kKeys> scores;
  wgmma::Sums<kKeys> gradient;  // dP, then dS
  wgmma::pin(scores);
  wgmma::pin(gradient);
  wgmma::begin();
  begin_scores(scores, tile.queries, shared.keys, first);
  begin_scores(gradient, tile.douts, shared.values, first);
  wgmma::commit();
  wgmma::wait();
  wgmma::pin(scores);
  wgmma::pin(gradient);
#pragma unroll
  for (int t = 0; t < kKeys / 8; ++t) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int r = i / 2;
      const bool hidden = is_diagonal && first + 8 * t + 2 * quad_place() + i % 2 > tile.token[r];
      const float p = probability(scores.at[t][i], tile.log2_sum[r]);
      gradient.at[t][i] = hidden ? 0 : p * (gradient.at[t][i] - tile.delta[r]);
    }
  }
  wgmma::Left left[kKeys / 16];
  round_all<kKeys>(left, gradient);
  wgmma::pin(dq);
  wgmma::begin();
  begin_add<kKeys>(dq, left, shared.keys, first);
  wgmma::commit();
  wgmma::wait();
  wgmma::pin(dq);
}

/// dQ of a tile, through rotation and norm. Its rows of q and dO were fetched ahead; begins to fetch those of tile
/// `next`, if that is not negative.
__device__ __forceinline__ void query_gradient(const BackwardArgs& args, const Shared& shared, const KeyHead& place,
                                               const Tiling& tiling, int index, int next) {
  const Inputs& in = args.in;
  const Ahead ahead(shared);
  QueryTile tile;
  ahead.take(tile.queries, tile.douts);
  if (next >= 0) {
    ahead.begin(args, QueryPair(place, tiling, in.dims, next));
  }
  const QueryPair pair(place, tiling, in.dims, index);
  prepare(tile, pair, args, shared.facts, index);
  wgmma::Sums<kHeadDim> dq;
  dq.clear();
  const int num_keys = round_up(tiling.num_keys(index, in.dims.tokens), 16);
  for (int begin = 0; begin < num_keys; begin += kAlong) {
    const bool is_diagonal = begin + kAlong > index * tiling.tokens_per_tile;
    for_columns(min(kAlong, num_keys - begin),
                [&](auto keys) { add_query_gradient<decltype(keys)::value>(dq, tile, shared, begin, is_diagonal); });
  }
  const auto* const packed = static_cast<const Bf16*>(in.qkv_NC);
  auto* const dqkv = static_cast<Bf16*>(args.dqkv_NC);
  norm_backward(dq,
                {{packed + pair.packed[0], packed + pair.packed[1]},
                 {dqkv + pair.packed[0], dqkv + pair.packed[1]},
                 {max(pair.token[0], 0), max(pair.token[1], 0)},
                 {pair.is_row[0], pair.is_row[1]},
                 in.q_weight_E,
                 shared.q_weights},
                in);
}

/// The group's tiles, the longest rows first.
__device__ __forceinline__ void query_gradients(const BackwardArgs& args, const Shared& shared, const KeyHead& place,
                                                const Tiling& tiling) {
  int tile = tiling.num_tiles - 1;
  const auto next_mine = [&](int from) {
    while (from >= 0 && !is_mine(tiling.num_tiles - 1 - from)) {
      --from;
    }
    return from;
  };
  tile = next_mine(tile);
  if (tile < 0) {
    return;
  }
  Ahead(shared).begin(args, QueryPair(place, tiling, args.in.dims, tile));
  while (tile >= 0) {
    const int next = next_mine(tile - 1);
    query_gradient(args, shared, place, tiling, tile, next);
    tile = next;
  }
}

}  // namespace tessera::kernels::self_attention

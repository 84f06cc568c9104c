#include "kernels/self_attention/heads.cuh"

#include <cuda/std/limits>

#include <type_traits>

// Shapes as in short_cuda.hpp. A block, two warp groups, has one key head of one image and all the query heads that
// read it. With P = exp(S - logsumexp), dP = dO V^T, dS = P (dP - rowsum(dO O)) (the formulas are derived in
// attention/reference.cpp), it works in two passes, both of which compute P and dS anew, piece by piece:
//
//   1. a group takes tiles of 64 query rows and goes along the keys: dQ = dS K c. The queries, as attention sees them,
//      take the place of forward's output
//   2. a group takes 64 keys and goes along the tiles of query rows: dK = dS^T Q c, dV = P^T dO
//
// and brings dQ and dK back through rotation and norm (derived in qk_norm_rope/reference.cpp) before it stores them.
// Keys and values stay in shared memory. Which group does what is fixed, and so is the order of all sums.

namespace tessera::kernels::self_attention {
namespace {

constexpr int kGroups = 2;
constexpr int kThreads = kGroups * kGroupThreads;
constexpr int kWarps = kThreads / kWarp;
constexpr int kAlong = 64;  // keys in a piece of the first pass, and in a tile of the second
constexpr float kInfinity = cuda::std::numeric_limits<float>::infinity();

__device__ __forceinline__ int group_id() { return static_cast<int>(threadIdx.x) / kGroupThreads; }

/// A barrier of the warp group's threads alone.
__device__ __forceinline__ void synchronise_group() {
  asm volatile("bar.sync %0, %1;" ::"r"(group_id() + 1), "n"(kGroupThreads) : "memory");
}

/// Piece `index` of those that cost less and less, dealt out so that both groups get about the same.
__device__ __forceinline__ bool is_mine(int index) { return (index + 1) / 2 % 2 == group_id(); }

/// What the block has in shared memory.
struct Shared {
  Sheet keys;
  Sheet values;
  Sheet queries;     ///< this group's tile in the second pass,
  Sheet douts;       ///< and its gradients
  float* log2_sum;   ///< per query row: log2 of the sum of exp(score); infinite where there is no row, so that P = 0
  float* delta;      ///< per query row: rowsum(dO O)
  float* q_weights;  ///< [warps][E], sums of the norms' weight gradients
  float* k_weights;

  static constexpr int bytes(const Dims& dims) {
    const int num_query_rows = Tiling(dims).num_tiles * kTileRows;
    return 2 * Sheet::bytes(round_up(dims.tokens, 16)) + 2 * kGroups * Sheet::bytes(kTileRows) +
           (2 * num_query_rows + 2 * kWarps * kHeadDim) * static_cast<int>(sizeof(float));
  }

  __device__ __forceinline__ Shared(std::uint32_t* words, const Dims& dims, const Tiling& tiling) {
    const int num_rows = round_up(dims.tokens, 16);
    constexpr int kTileWords = Sheet::bytes(kTileRows) / 4;
    keys = {words, num_rows};
    values = {words + Sheet::bytes(num_rows) / 4, num_rows};
    std::uint32_t* const tiles = words + 2 * Sheet::bytes(num_rows) / 4;
    queries = {tiles + 2 * group_id() * kTileWords, kTileRows};
    douts = {tiles + (2 * group_id() + 1) * kTileWords, kTileRows};
    log2_sum = reinterpret_cast<float*>(tiles + 2 * kGroups * kTileWords);
    delta = log2_sum + tiling.num_tiles * kTileRows;
    q_weights = delta + tiling.num_tiles * kTileRows;
    k_weights = q_weights + kWarps * kHeadDim;
  }
};

/// exp(score - logsumexp).
__device__ __forceinline__ float probability(float score, float log2_sum) {
  return exp2f(fmaf(score, kScale * kLog2E, -log2_sum));
}

/// Offsets of a query row in [B, T, H, E] and in the packed projection.
struct QueryOffsets {
  std::int64_t separate;
  std::int64_t packed;

  __device__ __forceinline__ QueryOffsets(const KeyHead& place, const Tiling& tiling, const Dims& dims,
                                          const QueryRow& row)
      : separate(((place.first_row + row.readable_token()) * dims.query_heads + place.head * tiling.group + row.head) *
                 kHeadDim),
        packed(place.queries + row.readable_token() * place.stride + row.head * kHeadDim) {}
};

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

/// The sum over the warp's rows, of what each thread has of the 16 + 16 elements of its quad place; added to
/// weights[E], the warp's own.
__device__ __forceinline__ void add_weights(float (&dweight)[2][2][8], float* weights) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        float sum = dweight[half][j][i];
        sum += __shfl_xor_sync(kAllLanes, sum, 4);
        sum += __shfl_xor_sync(kAllLanes, sum, 8);
        sum += __shfl_xor_sync(kAllLanes, sum, 16);
        if (lane_id() < 4) {
          weights[half * kHalf + 16 * quad_place() + 8 * j + i] += sum;
        }
      }
    }
  }
}

/// dy times 1/sqrt(E), through rotation and norm, rounded to dx.
__device__ __forceinline__ void norm_backward(const wgmma::Sums<kHeadDim>& dy, const NormBackward& rows,
                                              const Inputs& in) {
  RowPair x;
  x.load(rows.x[0], rows.x[1]);
  const auto* const weight = static_cast<const Bf16*>(rows.weight_E) + 16 * quad_place();
  float dweight[2][2][8] = {};
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
      const Pairs g(dy, r, j, Angles(in, rows.tokens[r], 16 * quad_place() + 8 * j));
      const Vector<Bf16> first_weight = load_vector(weight + 8 * j);
      const Vector<Bf16> second_weight = load_vector(weight + kHalf + 8 * j);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float a = element(row[0][j], i) * rstd;
        const float b = element(row[1][j], i) * rstd;
        dweight[0][j][i] += g.first[i] * a;
        dweight[1][j][i] += g.second[i] * b;
        weighted[0][j][i] = g.first[i] * element(first_weight, i);
        weighted[1][j][i] = g.second[i] * element(second_weight, i);
        dot += weighted[0][j][i] * a + weighted[1][j][i] * b;
      }
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

/// The thread's two rows of a tile of queries in the first pass.
struct QueryTile {
  RowPair queries;
  RowPair douts;
  int tokens[2];
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

/// Finds rowsum(dO O), then puts the queries where O was.
__device__ __forceinline__ void take_outs(QueryTile& tile, Bf16* const (&outs)[2], const bool (&is_row)[2]) {
  RowPair out;
  out.load(outs[0], outs[1]);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float sum = 0;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        sum += dot(out.at[r][half][j], tile.douts.at[r][half][j]);
      }
    }
    sum = sum_over_lanes(sum, 4);
    tile.delta[r] = is_row[r] ? sum : 0;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        if (is_row[r]) {
          store_vector(outs[r] + half * kHalf + 16 * quad_place() + 8 * j, tile.queries.at[r][half][j]);
        }
      }
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
      const bool hidden = is_diagonal && first + 8 * t + 2 * quad_place() + i % 2 > tile.tokens[r];
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

/// The first pass, for one tile.
__device__ __forceinline__ void query_gradient(const BackwardArgs& args, const Shared& shared, const KeyHead& place,
                                               const Tiling& tiling, int index) {
  const Inputs& in = args.in;
  const int num_tokens = in.dims.tokens;
  const QueryRow rows[2] = {QueryRow(tiling, index, first_row(), num_tokens),
                            QueryRow(tiling, index, first_row() + 8, num_tokens)};
  const QueryOffsets first(place, tiling, in.dims, rows[0]);
  const QueryOffsets second(place, tiling, in.dims, rows[1]);
  const int readable[2] = {rows[0].readable_token(), rows[1].readable_token()};
  const bool is_row[2] = {rows[0].is_row(), rows[1].is_row()};
  const auto* const packed = static_cast<const Bf16*>(in.qkv_NC);
  const auto* const douts = static_cast<const Bf16*>(args.dout_BTHE);
  auto* const outs = static_cast<Bf16*>(args.out_BTHE);

  QueryTile tile;
  tile.queries.load(packed + first.packed, packed + second.packed);
  tile.douts.load(douts + first.separate, douts + second.separate);
  float rstd[2];
  normalise_and_rotate(tile.queries, readable, in.q_weight_E, in, rstd);
  take_outs(tile, {outs + first.separate, outs + second.separate}, is_row);
  const float* const sums =
      args.logsumexp_BHT +
      (static_cast<std::int64_t>(blockIdx.y) * in.dims.query_heads + place.head * tiling.group) * num_tokens;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    tile.tokens[r] = rows[r].token;
    tile.log2_sum[r] = is_row[r] ? sums[rows[r].head * num_tokens + rows[r].token] * kLog2E : kInfinity;
    if (quad_place() == 0) {
      shared.log2_sum[index * kTileRows + first_row() + 8 * r] = tile.log2_sum[r];
      shared.delta[index * kTileRows + first_row() + 8 * r] = tile.delta[r];
    }
  }

  wgmma::Sums<kHeadDim> dq;
  dq.clear();
  const int num_keys = round_up(tiling.num_keys(index, num_tokens), 16);
  for (int begin = 0; begin < num_keys; begin += kAlong) {
    const bool is_diagonal = begin + kAlong > index * tiling.tokens_per_tile;
    for_columns(min(kAlong, num_keys - begin),
                [&](auto keys) { add_query_gradient<decltype(keys)::value>(dq, tile, shared, begin, is_diagonal); });
  }
  auto* const dqkv = static_cast<Bf16*>(args.dqkv_NC);
  norm_backward(dq,
                {{packed + first.packed, packed + second.packed},
                 {dqkv + first.packed, dqkv + second.packed},
                 {readable[0], readable[1]},
                 {is_row[0], is_row[1]},
                 in.q_weight_E,
                 shared.q_weights},
                in);
}

/// A tile of query rows and their gradients into the group's sheets; zeros where there is no row.
__device__ __forceinline__ void load_queries(const BackwardArgs& args, const Shared& shared, const KeyHead& place,
                                             const Tiling& tiling, int index) {
  constexpr int kTeams = kGroupThreads / kHalfVectors;
  constexpr int kAtOnce = 2;
  const int v = static_cast<int>(threadIdx.x) % kHalfVectors;
  const int team = static_cast<int>(threadIdx.x) % kGroupThreads / kHalfVectors;
#pragma unroll
  for (int begin = 0; begin < kTileRows; begin += kTeams * kAtOnce) {
    Vector<Bf16> query[kAtOnce][2];
    Vector<Bf16> dout[kAtOnce][2];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const QueryRow row(tiling, index, begin + k * kTeams + team, args.in.dims.tokens);
      const QueryOffsets offsets(place, tiling, args.in.dims, row);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        query[k][half] = Vector<Bf16>{};
        dout[k][half] = Vector<Bf16>{};
        if (row.is_row()) {
          const std::int64_t offset = offsets.separate + half * kHalf + 8 * v;
          query[k][half] = load_vector(static_cast<const Bf16*>(args.out_BTHE) + offset);
          dout[k][half] = load_vector(static_cast<const Bf16*>(args.dout_BTHE) + offset);
        }
      }
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        shared.queries.store(begin + k * kTeams + team, half, v, query[k][half]);
        shared.douts.store(begin + k * kTeams + team, half, v, dout[k][half]);
      }
    }
  }
}

struct KeyGradients {
  wgmma::Sums<kHeadDim> dk;
  wgmma::Sums<kHeadDim> dv;
};

/// dV += P^T dO and dK += dS^T Q over the tile of query rows in the group's sheets, for the 64 keys from `first_key`
/// on.
__device__ __forceinline__ void add_key_gradients(KeyGradients& sums, const Shared& shared, const Tiling& tiling,
                                                  int first_key, int index) {
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
  const bool is_diagonal = index * tiling.tokens_per_tile < first_key + kAlong - 1;
#pragma unroll
  for (int t = 0; t < kTileRows / 8; ++t) {
    const int column = 8 * t + 2 * quad_place();
    const float2 log2_sum = *reinterpret_cast<const float2*>(shared.log2_sum + index * kTileRows + column);
    const float2 delta = *reinterpret_cast<const float2*>(shared.delta + index * kTileRows + column);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int token = index * tiling.tokens_per_tile + (column + i % 2) % tiling.tokens_per_tile;
      const bool hidden = is_diagonal && first_key + first_row() + 8 * (i / 2) > token;
      p.at[t][i] = hidden ? 0 : probability(p.at[t][i], i % 2 == 0 ? log2_sum.x : log2_sum.y);
      gradient.at[t][i] = hidden ? 0 : p.at[t][i] * (gradient.at[t][i] - (i % 2 == 0 ? delta.x : delta.y));
    }
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
  for (int index = first_key / tiling.tokens_per_tile; index < tiling.num_tiles; ++index) {
    synchronise_group();  // all have done with the tile before
    load_queries(args, shared, place, tiling, index);
    publish();
    synchronise_group();
    add_key_gradients(sums, shared, tiling, first_key, index);
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

/// Sums of the warps' shares, in their order.
__device__ __forceinline__ void store_weights(const BackwardArgs& args, const Shared& shared) {
  const int e = static_cast<int>(threadIdx.x) % kGroupThreads;
  const float* const weights = group_id() == 0 ? shared.q_weights : shared.k_weights;
  float* const partial = group_id() == 0 ? args.q_partial_PE : args.k_partial_PE;
  float sum = 0;
#pragma unroll
  for (int warp = 0; warp < kWarps; ++warp) {
    sum += weights[warp * kHeadDim + e];
  }
  partial[(static_cast<std::int64_t>(blockIdx.y) * gridDim.x + blockIdx.x) * kHeadDim + e] = sum;
}
static_assert(kGroupThreads == kHeadDim);

/// Grid: (key head, image).
__global__ void __launch_bounds__(kThreads, 1) backward_kernel(BackwardArgs args) {
  extern __shared__ __align__(1024) std::uint32_t shared_words[];
  const Inputs& in = args.in;
  const KeyHead place(in.dims);
  const Tiling tiling(in.dims);
  const Shared shared(shared_words, in.dims, tiling);
  for (int i = static_cast<int>(threadIdx.x); i < 2 * kWarps * kHeadDim; i += kThreads) {
    shared.q_weights[i] = 0;
  }
  load_keys_and_values<kThreads>(shared.keys, shared.values, place, in);
  publish();
  __syncthreads();
  for (int index = 0; index < tiling.num_tiles; ++index) {
    if (is_mine(index)) {
      query_gradient(args, shared, place, tiling, tiling.num_tiles - 1 - index);
    }
  }
  __syncthreads();
  for (int index = 0; index * kAlong < in.dims.tokens; ++index) {
    if (is_mine(index)) {
      key_gradients(args, shared, place, tiling, index * kAlong);
    }
  }
  __syncthreads();
  store_weights(args, shared);
}

}  // namespace

bool is_short(const Dims& dims, std::int64_t head_dim) {
  constexpr int kMaxSharedBytes = 227 << 10;  // of a block, on Hopper
  return head_dim == kHeadDim && dims.tokens <= kMaxTokens && dims.query_heads / dims.key_heads <= kTileRows &&
         dims.batch <= kMaxBatch && Shared::bytes(dims) <= kMaxSharedBytes;
}

void launch_short_backward(const BackwardArgs& args, cudaStream_t stream) {
  const int shared_bytes = Shared::bytes(args.in.dims);
  cudaFuncSetAttribute(backward_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  const dim3 grid(static_cast<unsigned>(args.in.dims.key_heads), static_cast<unsigned>(args.in.dims.batch));
  backward_kernel<<<grid, kThreads, static_cast<std::size_t>(shared_bytes), stream>>>(args);
}

}  // namespace tessera::kernels::self_attention

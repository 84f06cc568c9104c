#include "kernels/self_attention/rotation.cuh"

#include <cuda/std/limits>

#include <type_traits>

// Shapes as in short_cuda.hpp. A block, one warp group, has one key head of one image: its keys, normalised and
// rotated, and its values are in shared memory. It takes tiles of 64 query rows, some tokens of all the heads that read
// this key head, and goes along the keys in pieces, with its sums in registers (softmax as Milakov and Gimelshein 2018,
// in tiles as Dao 2022).

namespace tessera::kernels::self_attention {
namespace {

constexpr float kInfinity = cuda::std::numeric_limits<float>::infinity();

/// What the thread has of its two rows when the group has gone along some of the keys.
struct Attended {
  wgmma::Sums<kHeadDim> out;
  float max[2] = {-kInfinity, -kInfinity};  ///< of the scores, not yet scaled
  float weight[2] = {0, 0};                 ///< of exp(score - max), of this thread's columns
};

/// Minus infinity where the key comes after the row's token.
template <int kKeys>
__device__ __forceinline__ void hide_later_keys(wgmma::Sums<kKeys>& scores, int first, const int (&tokens)[2]) {
#pragma unroll
  for (int t = 0; t < kKeys / 8; ++t) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int key = first + 8 * t + 2 * quad_place() + i % 2;
      scores.at[t][i] = key > tokens[i / 2] ? -kInfinity : scores.at[t][i];
    }
  }
}

/// Scores become exp(score - max), and what was summed up so far is brought to the new maximum.
template <int kKeys>
__device__ __forceinline__ void exponentiate(wgmma::Sums<kKeys>& scores, Attended& attended) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float greatest = attended.max[r];
#pragma unroll
    for (int t = 0; t < kKeys / 8; ++t) {
      greatest = fmaxf(greatest, fmaxf(scores.at[t][2 * r], scores.at[t][2 * r + 1]));
    }
    greatest = fmaxf(greatest, __shfl_xor_sync(kAllLanes, greatest, 1));
    greatest = fmaxf(greatest, __shfl_xor_sync(kAllLanes, greatest, 2));
    // A row that has seen no key is none: whatever comes of it is not stored, but it must not become NaN's.
    const float shift = greatest == -kInfinity ? 0 : greatest * (kScale * kLog2E);
    const float factor = exp2f(fmaf(attended.max[r], kScale * kLog2E, -shift));
    attended.max[r] = greatest;
    float weight = attended.weight[r] * factor;
#pragma unroll
    for (int t = 0; t < kKeys / 8; ++t) {
#pragma unroll
      for (int i = 2 * r; i < 2 * r + 2; ++i) {
        scores.at[t][i] = exp2f(fmaf(scores.at[t][i], kScale * kLog2E, -shift));
        weight += scores.at[t][i];
      }
    }
    attended.weight[r] = weight;
#pragma unroll
    for (int t = 0; t < kHeadDim / 8; ++t) {
      attended.out.at[t][2 * r] *= factor;
      attended.out.at[t][2 * r + 1] *= factor;
    }
  }
}

struct Sheets {
  Sheet keys;
  Sheet values;
};

/// Takes in kKeys keys from row `first` on.
template <int kKeys>
__device__ __forceinline__ void attend(Attended& attended, const RowPair& queries, const Sheets& sheets, int first,
                                       const int (&tokens)[2], bool is_diagonal) {
  wgmma::Sums<kKeys> scores;
  wgmma::pin(scores);
  wgmma::begin();
  begin_scores(scores, queries, sheets.keys, first);
  wgmma::commit();
  wgmma::wait();
  wgmma::pin(scores);
  if (is_diagonal) {
    hide_later_keys(scores, first, tokens);
  }
  exponentiate(scores, attended);
  wgmma::Left weights[kKeys / 16];
  round_all<kKeys>(weights, scores);
  wgmma::pin(attended.out);
  wgmma::begin();
  begin_add<kKeys>(attended.out, weights, sheets.values, first);
  wgmma::commit();
  wgmma::wait();
  wgmma::pin(attended.out);
}

__device__ __forceinline__ void store_row(const ForwardArgs& args, const Attended& attended, int r, int head,
                                          int token) {
  const Dims& dims = args.in.dims;
  const float weight = sum_over_lanes(attended.weight[r], 4);
  if (token < 0) {
    return;
  }
  const std::int64_t image = blockIdx.y;
  if (quad_place() == 0) {
    args.logsumexp_BHT[(image * dims.query_heads + head) * dims.tokens + token] =
        attended.max[r] * kScale + logf(weight);
  }
  Bf16* const row = static_cast<Bf16*>(args.out_BTHE) +
                    ((image * dims.tokens + token) * dims.query_heads + head) * kHeadDim + 16 * quad_place();
  const float factor = 1 / weight;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      float values[8];
      take_elements(values, attended.out, r, half, j);
#pragma unroll
      for (float& value : values) {
        value *= factor;
      }
      store_vector(row + half * kHalf + 8 * j, pack<Bf16>(values));
    }
  }
}

/// Grid: (key head, image).
__global__ void __launch_bounds__(kGroupThreads, 2) forward_kernel(ForwardArgs args) {
  extern __shared__ __align__(1024) std::uint32_t shared_words[];
  const Inputs& in = args.in;
  const int num_tokens = in.dims.tokens;
  const int num_rows = round_up(num_tokens, 16);
  const KeyHead place(in.dims);
  const Tiling tiling(in.dims);
  const Sheets sheets{{shared_words, num_rows}, {shared_words + Sheet::bytes(num_rows) / 4, num_rows}};
  load_keys_and_values<kGroupThreads>(sheets.keys, sheets.values, place, in);
  publish();
  __syncthreads();

  const auto* const queries_of_image = static_cast<const Bf16*>(in.qkv_NC) + place.queries;
  RowPair ahead;  // the next tile's, on their way while this one is attended to
  const auto fetch = [&](int tile) {
    const QueryRow first(tiling, tile, first_row(), num_tokens);
    const QueryRow second(tiling, tile, first_row() + 8, num_tokens);
    ahead.load(queries_of_image + first.readable_token() * place.stride + first.head * kHeadDim,
               queries_of_image + second.readable_token() * place.stride + second.head * kHeadDim);
  };
  fetch(tiling.num_tiles - 1);
  for (int tile = tiling.num_tiles - 1; tile >= 0; --tile) {
    const QueryRow first(tiling, tile, first_row(), num_tokens);
    const QueryRow second(tiling, tile, first_row() + 8, num_tokens);
    const int tokens[2] = {first.token, second.token};
    const int readable[2] = {first.readable_token(), second.readable_token()};
    RowPair queries = ahead;
    if (tile > 0) {
      fetch(tile - 1);
    }
    normalise_and_rotate(queries, readable, in.q_weight_E, in);
    Attended attended;
    attended.out.clear();
    const int num_keys = round_up(tiling.num_keys(tile, num_tokens), 16);
    for (int begin = 0; begin < num_keys; begin += 64) {
      const bool is_diagonal = begin + 64 > tile * tiling.tokens_per_tile;
      for_columns(min(64, num_keys - begin), [&](auto keys) {
        attend<decltype(keys)::value>(attended, queries, sheets, begin, tokens, is_diagonal);
      });
    }
    store_row(args, attended, 0, place.head * tiling.group + first.head, first.token);
    store_row(args, attended, 1, place.head * tiling.group + second.head, second.token);
  }
}

}  // namespace

void launch_short_forward(const ForwardArgs& args, cudaStream_t stream) {
  const int shared_bytes = 2 * Sheet::bytes(round_up(args.in.dims.tokens, 16));
  cudaFuncSetAttribute(forward_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  const dim3 grid(static_cast<unsigned>(args.in.dims.key_heads), static_cast<unsigned>(args.in.dims.batch));
  forward_kernel<<<grid, kGroupThreads, static_cast<std::size_t>(shared_bytes), stream>>>(args);
}

}  // namespace tessera::kernels::self_attention

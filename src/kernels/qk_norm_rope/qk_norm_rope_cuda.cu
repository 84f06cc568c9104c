#include "kernels/qk_norm_rope/heads.cuh"

#include <algorithm>

// Shapes: B images, T tokens, N = B*T rows, H query heads, K key/value heads, E elements a head, C = (H + 2K) E.
//
// A head is held by a team of E / (2 V) neighbouring lanes, V elements being 16 bytes: each lane has V elements of the
// first half and the V that they are rotated with, so that the rotation needs no other lane and the norm a few
// shuffles. The formulas are derived in reference.cpp.

namespace tessera::kernels::qk_norm_rope {
namespace {

constexpr int kForwardHeads = 4;   // of one token, for each team: they share the token's angles
constexpr int kBackwardItems = 2;  // whose loads are under way together
constexpr int kNumSms = 132;       // an H200's: the backward grid is what runs at the same time
constexpr int kBackwardBlocksPerSm = 2;

/// A lane's share of a head.
template <class T>
struct Halves {
  Vector<T> first;
  Vector<T> second;

  __device__ __forceinline__ void load(const T* head, int offset, int half) {
    first = load_vector(head + offset);
    second = load_vector(head + half + offset);
  }
};

/// cos and sin of a lane's pairs.
template <int kSize>
struct Angles {
  float cos[kSize];
  float sin[kSize];

  __device__ __forceinline__ void load(const float* cos_TE2, const float* sin_TE2, std::int64_t offset) {
#pragma unroll
    for (int i = 0; i < kSize; i += 4) {
      const Vector<float> cosines = load_vector(cos_TE2 + offset + i);
      const Vector<float> sines = load_vector(sin_TE2 + offset + i);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        cos[i + j] = element(cosines, j);
        sin[i + j] = element(sines, j);
      }
    }
  }
};

template <class T>
__device__ __forceinline__ float rstd_of(const Halves<T>& x, int lanes, const Dims& dims) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kVectorSize<T>; ++i) {
    sum += element(x.first, i) * element(x.first, i) + element(x.second, i) * element(x.second, i);
  }
  return rsqrtf(sum_over_lanes(sum, lanes) / static_cast<float>(dims.head_dim) + dims.eps);
}

template <class T>
__global__ void __launch_bounds__(kThreads) forward_kernel(ForwardArgs args, int lanes) {
  constexpr int kSize = kVectorSize<T>;
  const Dims& dims = args.dims;
  const int heads = dims.query_heads + dims.key_heads;
  const int groups = (heads + kForwardHeads - 1) / kForwardHeads;
  const int half = dims.head_dim / 2;
  const auto team = static_cast<int>((blockIdx.x * kThreads + threadIdx.x) / lanes);
  const int offset = static_cast<int>(threadIdx.x) % lanes * kSize;
  const int row = team / groups;
  const int first_head = team % groups * kForwardHeads;
  const bool is_row = row < dims.batch * dims.tokens;

  const T* const packed = static_cast<const T*>(args.qkv_NC) + row * packed_columns(dims);
  Halves<T> x[kForwardHeads] = {};
#pragma unroll
  for (int h = 0; h < kForwardHeads; ++h) {
    if (is_row && first_head + h < heads) {
      x[h].load(packed + static_cast<std::int64_t>(first_head + h) * dims.head_dim, offset, half);
    }
  }
  Angles<kSize> angles;
  angles.load(args.cos_TE2, args.sin_TE2, static_cast<std::int64_t>(row % dims.tokens) * half + offset);

#pragma unroll
  for (int h = 0; h < kForwardHeads; ++h) {
    const int head = first_head + h;
    const float rstd = rstd_of(x[h], lanes, dims);
    if (!is_row || head >= heads) {
      continue;
    }
    const bool is_query = head < dims.query_heads;
    Halves<T> weight;
    weight.load(static_cast<const T*>(is_query ? args.q_weight_E : args.k_weight_E), offset, half);
    float first[kSize];
    float second[kSize];
#pragma unroll
    for (int i = 0; i < kSize; ++i) {
      const float a = element(x[h].first, i) * rstd * element(weight.first, i);
      const float b = element(x[h].second, i) * rstd * element(weight.second, i);
      first[i] = a * angles.cos[i] - b * angles.sin[i];
      second[i] = b * angles.cos[i] + a * angles.sin[i];
    }
    T* const y =
        is_query
            ? static_cast<T*>(args.q_BTHE) + (static_cast<std::int64_t>(row) * dims.query_heads + head) * dims.head_dim
            : static_cast<T*>(args.k_BTKE) +
                  (static_cast<std::int64_t>(row) * dims.key_heads + head - dims.query_heads) * dims.head_dim;
    store_vector(y + offset, pack<T>(first));
    store_vector(y + half + offset, pack<T>(second));
  }
}

/// dx of a lane's share of one head, and its part of the weight's gradient added to dweight.
template <class T>
__device__ __forceinline__ void backward_head(const Halves<T>& x, const Halves<T>& dy, const Halves<T>& weight,
                                              const Angles<kVectorSize<T>>& angles, int lanes, const Dims& dims,
                                              float (&dweight)[2][kVectorSize<T>], Halves<T>& dx) {
  constexpr int kSize = kVectorSize<T>;
  const float rstd = rstd_of(x, lanes, dims);
  float first[kSize];
  float second[kSize];
  float dot = 0;
#pragma unroll
  for (int i = 0; i < kSize; ++i) {
    const float a = element(dy.first, i) * angles.cos[i] + element(dy.second, i) * angles.sin[i];
    const float b = element(dy.second, i) * angles.cos[i] - element(dy.first, i) * angles.sin[i];
    const float normalised_a = element(x.first, i) * rstd;
    const float normalised_b = element(x.second, i) * rstd;
    dweight[0][i] += a * normalised_a;
    dweight[1][i] += b * normalised_b;
    first[i] = a * element(weight.first, i);
    second[i] = b * element(weight.second, i);
    dot += first[i] * normalised_a + second[i] * normalised_b;
  }
  const float slope = sum_over_lanes(dot, lanes) / static_cast<float>(dims.head_dim) * rstd;
#pragma unroll
  for (int i = 0; i < kSize; ++i) {
    first[i] = (first[i] - element(x.first, i) * slope) * rstd;
    second[i] = (second[i] - element(x.second, i) * slope) * rstd;
  }
  dx.first = pack<T>(first);
  dx.second = pack<T>(second);
}

/// Adds the teams' shares of the weight's gradient in their order, and writes the block's row of partial_PE.
template <class T>
__device__ __forceinline__ void store_partial(const float (&dweight)[2][kVectorSize<T>], int lanes, const Dims& dims,
                                              float* partial) {
  constexpr int kSize = kVectorSize<T>;
  __shared__ float sums[kThreads * 2 * kSize];  // [teams][E]
  const int offset = static_cast<int>(threadIdx.x) % lanes * kSize;
  float* const team = sums + static_cast<int>(threadIdx.x) / lanes * dims.head_dim;
#pragma unroll
  for (int i = 0; i < kSize; ++i) {
    team[offset + i] = dweight[0][i];
    team[dims.head_dim / 2 + offset + i] = dweight[1][i];
  }
  __syncthreads();
  for (int e = static_cast<int>(threadIdx.x); e < dims.head_dim; e += kThreads) {
    float total = 0;
    for (int t = 0; t < kThreads / lanes; ++t) {
      total += sums[t * dims.head_dim + e];
    }
    partial[e] = total;
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBackwardBlocksPerSm)
    backward_kernel(BackwardArgs args, int num_query_blocks, int lanes) {
  constexpr int kSize = kVectorSize<T>;
  const Dims& dims = args.dims;
  const Role<T> role(args, num_query_blocks);
  const int half = dims.head_dim / 2;
  const int offset = static_cast<int>(threadIdx.x) % lanes * kSize;
  const int teams = kThreads / lanes;
  const int num_items = dims.batch * dims.tokens * role.heads;
  const std::int64_t columns = packed_columns(dims);
  const std::int64_t value_offset = static_cast<std::int64_t>(dims.key_heads) * dims.head_dim;  // from k to v
  Halves<T> weight;
  weight.load(role.weight_E, offset, half);
  float dweight[2][kSize] = {};

  const int stride = role.num_blocks * teams;
  for (int first = role.block * teams; first < num_items; first += kBackwardItems * stride) {
    Halves<T> x[kBackwardItems] = {};
    Halves<T> dy[kBackwardItems] = {};
    Halves<T> dv[kBackwardItems];
#pragma unroll
    for (int j = 0; j < kBackwardItems; ++j) {
      const int item = first + j * stride + static_cast<int>(threadIdx.x) / lanes;
      if (item < num_items) {
        const HeadPlace place(item, role.heads, dims.tokens);
        const std::int64_t head = place.row * columns + role.column + place.head * dims.head_dim;
        x[j].load(static_cast<const T*>(args.qkv_NC) + head, offset, half);
        dy[j].load(place.template in<T>(role.gradient), offset, half);
        if (role.is_key) {
          dv[j].load(place.template in<T>(args.dv_BTKE), offset, half);
        }
      }
    }
#pragma unroll
    for (int j = 0; j < kBackwardItems; ++j) {
      const int item = min(first + j * stride + static_cast<int>(threadIdx.x) / lanes, num_items - 1);
      const HeadPlace place(item, role.heads, dims.tokens);
      Angles<kSize> angles;
      angles.load(args.cos_TE2, args.sin_TE2, static_cast<std::int64_t>(place.token) * half + offset);
      Halves<T> dx;
      backward_head(x[j], dy[j], weight, angles, lanes, dims, dweight, dx);
      if (first + j * stride + static_cast<int>(threadIdx.x) / lanes < num_items) {
        T* const out = static_cast<T*>(args.dqkv_NC) + place.row * columns + role.column + place.head * dims.head_dim;
        store_vector(out + offset, dx.first);
        store_vector(out + half + offset, dx.second);
        if (role.is_key) {
          store_vector(out + value_offset + offset, dv[j].first);
          store_vector(out + value_offset + half + offset, dv[j].second);
        }
      }
    }
  }
  store_partial<T>(dweight, lanes, dims, args.partial_PE + static_cast<std::int64_t>(blockIdx.x) * dims.head_dim);
}

/// Lanes of a team, or 0 where the vector kernels cannot take the head.
template <class T>
int lanes_of(const Dims& dims) {
  constexpr int kPair = 2 * kVectorSize<T>;
  const int lanes = dims.head_dim / kPair;
  const bool is_power_of_two = lanes > 0 && (lanes & (lanes - 1)) == 0;
  return dims.head_dim % kPair == 0 && is_power_of_two && lanes <= kWarp ? lanes : 0;
}

template <class T>
bool is_vectorisable(const StridedHeads& heads) {
  return are_aligned(16, heads.data) && heads.batch_stride % kVectorSize<T> == 0 &&
         heads.token_stride % kVectorSize<T> == 0 && heads.head_stride % kVectorSize<T> == 0;
}

template <class T>
void launch_forward(const ForwardArgs& args, cudaStream_t stream) {
  const int lanes = lanes_of<T>(args.dims);
  if (lanes == 0 || !are_aligned(16, args.qkv_NC, args.q_weight_E, args.k_weight_E, args.cos_TE2, args.sin_TE2,
                                 args.q_BTHE, args.k_BTKE)) {
    launch_forward_scalar<T>(args, stream);
    return;
  }
  const int groups = (args.dims.query_heads + args.dims.key_heads + kForwardHeads - 1) / kForwardHeads;
  const std::int64_t num_threads = static_cast<std::int64_t>(args.dims.batch) * args.dims.tokens * groups * lanes;
  forward_kernel<T>
      <<<static_cast<unsigned>((num_threads + kThreads - 1) / kThreads), kThreads, 0, stream>>>(args, lanes);
}

template <class T>
void launch_backward(const BackwardArgs& args, cudaStream_t stream) {
  const int lanes = lanes_of<T>(args.dims);
  if (lanes == 0 || !is_vectorisable<T>(args.dq_BTHE) || !is_vectorisable<T>(args.dk_BTKE) ||
      !is_vectorisable<T>(args.dv_BTKE) ||
      !are_aligned(16, args.qkv_NC, args.q_weight_E, args.k_weight_E, args.cos_TE2, args.sin_TE2, args.dqkv_NC)) {
    launch_backward_scalar<T>(args, stream);
    return;
  }
  const Partials partials = num_partials(args.dims);
  const auto num_blocks = static_cast<unsigned>(partials.query + partials.key);
  backward_kernel<T><<<num_blocks, kThreads, 0, stream>>>(args, partials.query, lanes);
}

}  // namespace

void launch_forward(const ForwardArgs& args, core::DType dtype, cudaStream_t stream) {
  dispatch(dtype, [&](auto type) { launch_forward<decltype(type)>(args, stream); });
}

// Bytes decide: a query head is read twice and written once, a key head comes with a value head that is copied.
Partials num_partials(const Dims& dims) {
  constexpr int kBlocks = kNumSms * kBackwardBlocksPerSm;
  constexpr int kHeadsAtOnce = kThreads / kWarp;  // at least, whatever the size of a head
  const std::int64_t rows = static_cast<std::int64_t>(dims.batch) * dims.tokens;
  const int query_share = 3 * dims.query_heads;
  const int key_share = 5 * dims.key_heads;
  const int query = kBlocks * query_share / (query_share + key_share);
  const auto enough = [&](int heads) { return (rows * heads + kHeadsAtOnce - 1) / kHeadsAtOnce; };
  return {static_cast<int>(std::max<std::int64_t>(1, std::min<std::int64_t>(query, enough(dims.query_heads)))),
          static_cast<int>(std::max<std::int64_t>(1, std::min<std::int64_t>(kBlocks - query, enough(dims.key_heads))))};
}

void launch_backward(const BackwardArgs& args, core::DType dtype, cudaStream_t stream) {
  dispatch(dtype, [&](auto type) { launch_backward<decltype(type)>(args, stream); });
}

}  // namespace tessera::kernels::qk_norm_rope

#include "kernels/qk_norm_rope/heads.cuh"

// For heads whose halves are no power of two of 16-byte vectors, or which are not aligned: a warp a head, element by
// element. Shapes as in qk_norm_rope_cuda.hpp; the formulas are derived in reference.cpp.

namespace tessera::kernels::qk_norm_rope {
namespace {

constexpr int kWarps = kThreads / kWarp;

template <class T>
__device__ __forceinline__ float rstd_of(const T* x, const Dims& dims) {
  float sum = 0;
  for (int e = static_cast<int>(threadIdx.x) % kWarp; e < dims.head_dim; e += kWarp) {
    sum += to_float(x[e]) * to_float(x[e]);
  }
  return rsqrtf(sum_over_lanes(sum) / static_cast<float>(dims.head_dim) + dims.eps);
}

template <class T>
__global__ void __launch_bounds__(kThreads) forward_scalar_kernel(ForwardArgs args) {
  const Dims& dims = args.dims;
  const int heads = dims.query_heads + dims.key_heads;
  const int half = dims.head_dim / 2;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const auto item = static_cast<int>((blockIdx.x * kThreads + threadIdx.x) / kWarp);
  if (item >= dims.batch * dims.tokens * heads) {
    return;
  }
  const HeadPlace place(item, heads, dims.tokens);
  const T* const x = static_cast<const T*>(args.qkv_NC) + place.row * packed_columns(dims) + place.head * dims.head_dim;
  const bool is_query = place.head < dims.query_heads;
  const T* const weight = static_cast<const T*>(is_query ? args.q_weight_E : args.k_weight_E);
  T* const y = is_query ? static_cast<T*>(args.q_BTHE) + (place.row * dims.query_heads + place.head) * dims.head_dim
                        : static_cast<T*>(args.k_BTKE) +
                              (place.row * dims.key_heads + place.head - dims.query_heads) * dims.head_dim;
  const float rstd = rstd_of(x, dims);
  for (int e = lane; e < half; e += kWarp) {
    const float cos = args.cos_TE2[place.token * half + e];
    const float sin = args.sin_TE2[place.token * half + e];
    const float a = to_float(x[e]) * rstd * to_float(weight[e]);
    const float b = to_float(x[half + e]) * rstd * to_float(weight[half + e]);
    y[e] = from_float<T>(a * cos - b * sin);
    y[half + e] = from_float<T>(b * cos + a * sin);
  }
}

/// The gradient before the rotation, of element e < E/2 and of its partner.
struct Unrotated {
  float first;
  float second;

  template <class T>
  __device__ __forceinline__ Unrotated(const T* dy, const BackwardArgs& args, int token, int e) {
    const int half = args.dims.head_dim / 2;
    const float cos = args.cos_TE2[token * half + e];
    const float sin = args.sin_TE2[token * half + e];
    first = to_float(dy[e]) * cos + to_float(dy[half + e]) * sin;
    second = to_float(dy[half + e]) * cos - to_float(dy[e]) * sin;
  }
};

template <class T>
__device__ __forceinline__ void backward_head(const BackwardArgs& args, const Role<T>& role, int item, float* dweight) {
  const Dims& dims = args.dims;
  const int half = dims.head_dim / 2;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const HeadPlace place(item, role.heads, dims.tokens);
  const std::int64_t offset = place.row * packed_columns(dims) + role.column + place.head * dims.head_dim;
  const T* const x = static_cast<const T*>(args.qkv_NC) + offset;
  T* const dx = static_cast<T*>(args.dqkv_NC) + offset;
  const T* const dy = place.template in<T>(role.gradient);
  const float rstd = rstd_of(x, dims);
  float dot = 0;
  for (int e = lane; e < half; e += kWarp) {
    const Unrotated g(dy, args, place.token, e);
    const float a = g.first * (to_float(x[e]) * rstd);
    const float b = g.second * (to_float(x[half + e]) * rstd);
    dweight[e] += a;
    dweight[half + e] += b;
    dot += a * to_float(role.weight_E[e]) + b * to_float(role.weight_E[half + e]);
  }
  const float slope = sum_over_lanes(dot) / static_cast<float>(dims.head_dim) * rstd;
  for (int e = lane; e < half; e += kWarp) {
    const Unrotated g(dy, args, place.token, e);
    dx[e] = from_float<T>((g.first * to_float(role.weight_E[e]) - to_float(x[e]) * slope) * rstd);
    dx[half + e] = from_float<T>((g.second * to_float(role.weight_E[half + e]) - to_float(x[half + e]) * slope) * rstd);
  }
  if (role.is_key) {
    const T* const dv = place.template in<T>(args.dv_BTKE);
    T* const out = dx + static_cast<std::int64_t>(dims.key_heads) * dims.head_dim;
    for (int e = lane; e < dims.head_dim; e += kWarp) {
      out[e] = dv[e];
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) backward_scalar_kernel(BackwardArgs args, int num_query_blocks) {
  extern __shared__ float sums[];  // [kWarps][E]
  const Dims& dims = args.dims;
  const Role<T> role(args, num_query_blocks);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int num_items = dims.batch * dims.tokens * role.heads;
  for (int e = static_cast<int>(threadIdx.x); e < kWarps * dims.head_dim; e += kThreads) {
    sums[e] = 0;
  }
  __syncthreads();
  for (int item = role.block * kWarps + warp; item < num_items; item += role.num_blocks * kWarps) {
    backward_head(args, role, item, sums + warp * dims.head_dim);
  }
  __syncthreads();
  for (int e = static_cast<int>(threadIdx.x); e < dims.head_dim; e += kThreads) {
    float total = 0;
    for (int w = 0; w < kWarps; ++w) {
      total += sums[w * dims.head_dim + e];
    }
    args.partial_PE[static_cast<std::int64_t>(blockIdx.x) * dims.head_dim + e] = total;
  }
}

}  // namespace

template <class T>
void launch_forward_scalar(const ForwardArgs& args, cudaStream_t stream) {
  const std::int64_t num_items =
      static_cast<std::int64_t>(args.dims.batch) * args.dims.tokens * (args.dims.query_heads + args.dims.key_heads);
  forward_scalar_kernel<T><<<static_cast<unsigned>((num_items + kWarps - 1) / kWarps), kThreads, 0, stream>>>(args);
}

template <class T>
void launch_backward_scalar(const BackwardArgs& args, cudaStream_t stream) {
  const Partials partials = num_partials(args.dims);
  const std::size_t shared_bytes = kWarps * static_cast<std::size_t>(args.dims.head_dim) * sizeof(float);
  const auto num_blocks = static_cast<unsigned>(partials.query + partials.key);
  backward_scalar_kernel<T><<<num_blocks, kThreads, shared_bytes, stream>>>(args, partials.query);
}

template void launch_forward_scalar<float>(const ForwardArgs&, cudaStream_t);
template void launch_forward_scalar<__nv_bfloat16>(const ForwardArgs&, cudaStream_t);
template void launch_backward_scalar<float>(const BackwardArgs&, cudaStream_t);
template void launch_backward_scalar<__nv_bfloat16>(const BackwardArgs&, cudaStream_t);

}  // namespace tessera::kernels::qk_norm_rope

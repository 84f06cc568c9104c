#pragma once

#include "tessera/core/dtype.hpp"

#include <cuda_runtime_api.h>

#include <cstdint>

// Launchers over raw pointers, for qk_norm_rope_cuda.cpp. No ATen here: nvcc compiles it. Shapes: B images, T tokens,
// N = B*T rows, H query heads, K key/value heads, E elements a head, C = (H + 2K) E.

namespace tessera::kernels::qk_norm_rope {

struct Dims {
  int batch;
  int tokens;
  int query_heads;
  int key_heads;
  int head_dim;
  float eps;
};

struct ForwardArgs {
  const void* qkv_NC;
  const void* q_weight_E;
  const void* k_weight_E;
  const float* cos_TE2;
  const float* sin_TE2;
  void* q_BTHE;
  void* k_BTKE;
  Dims dims;
};

/// Stream-ordered on `stream`.
void launch_forward(const ForwardArgs& args, core::DType dtype, cudaStream_t stream);

/// A [B, T, heads, E] gradient; strides in elements, the last one is 1.
struct StridedHeads {
  const void* data;
  std::int64_t batch_stride;
  std::int64_t token_stride;
  std::int64_t head_stride;
};

struct BackwardArgs {
  StridedHeads dq_BTHE;
  StridedHeads dk_BTKE;
  StridedHeads dv_BTKE;
  const void* qkv_NC;
  const void* q_weight_E;
  const void* k_weight_E;
  const float* cos_TE2;
  const float* sin_TE2;
  void* dqkv_NC;
  float* partial_PE;  ///< num_partials().query rows for q's weight, then .key rows for k's
  Dims dims;
};

/// How many blocks, and so partial rows, the query heads and the key heads get. Depends on the dimensions alone.
struct Partials {
  int query;
  int key;
};
Partials num_partials(const Dims& dims);

/// The largest head that launch_backward can hold.
constexpr int kMaxHeadDim = 1024;

/// Stream-ordered on `stream`.
void launch_backward(const BackwardArgs& args, core::DType dtype, cudaStream_t stream);

}  // namespace tessera::kernels::qk_norm_rope

#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

// Launchers over raw pointers, for self_attention_cuda.cpp. No ATen here: nvcc compiles it. Attention over sequences so
// short that the keys and values of a head fit into the shared memory of one block; bf16, on Hopper.
// Shapes: B images, T tokens, N = B*T rows, H query heads, K key/value heads, E = kHeadDim elements a head,
// C = (H + 2K) E; P = B*K partial rows.

namespace tessera::kernels::self_attention {

/// That of every Qwen3 from 0.6B to 32B.
constexpr int kHeadDim = 128;
constexpr int kMaxTokens = 256;
constexpr int kMaxBatch = 65535;

struct Dims {
  int batch;
  int tokens;
  int query_heads;
  int key_heads;
};

/// Whether these kernels are there and take such heads; any other attention has to go another way.
bool is_short(const Dims& dims, std::int64_t head_dim);

struct Inputs {
  const void* qkv_NC;
  const void* q_weight_E;
  const void* k_weight_E;
  const float* cos_TE2;
  const float* sin_TE2;
  Dims dims;
  float eps;
};

struct ForwardArgs {
  Inputs in;
  void* out_BTHE;
  float* logsumexp_BHT;
};

/// Stream-ordered on `stream`. Every pointer is 16-byte aligned.
void launch_short_forward(const ForwardArgs& args, cudaStream_t stream);

struct BackwardArgs {
  Inputs in;
  const void* dout_BTHE;
  void* out_BTHE;  ///< forward's; overwritten
  const float* logsumexp_BHT;
  void* dqkv_NC;
  float* q_partial_PE;  ///< rows of the norms' weight gradients, to be summed
  float* k_partial_PE;
};

/// Stream-ordered on `stream`. Every pointer is 16-byte aligned. The sums have one order.
void launch_short_backward(const BackwardArgs& args, cudaStream_t stream);

}  // namespace tessera::kernels::self_attention

#pragma once

#include "kernels/qk_norm_rope/qk_norm_rope_cuda.hpp"
#include "kernels/vectors.cuh"

// What the vector and the scalar kernels share. Shapes as in qk_norm_rope_cuda.hpp.

namespace tessera::kernels::qk_norm_rope {

constexpr int kThreads = 256;

/// Which heads a block of a backward kernel works on: q's, or k's and with them, as a plain copy, v's.
template <class T>
struct Role {
  bool is_key;
  int block;       ///< of this role
  int num_blocks;  ///< of this role
  int heads;
  const T* weight_E;
  StridedHeads gradient;
  std::int64_t column;  ///< of qkv, where the role's heads begin

  __device__ __forceinline__ Role(const BackwardArgs& args, int num_query_blocks)
      : is_key(static_cast<int>(blockIdx.x) >= num_query_blocks),
        block(is_key ? static_cast<int>(blockIdx.x) - num_query_blocks : static_cast<int>(blockIdx.x)),
        num_blocks(is_key ? static_cast<int>(gridDim.x) - num_query_blocks : num_query_blocks),
        heads(is_key ? args.dims.key_heads : args.dims.query_heads),
        weight_E(static_cast<const T*>(is_key ? args.k_weight_E : args.q_weight_E)),
        gradient(is_key ? args.dk_BTKE : args.dq_BTHE),
        column(is_key ? static_cast<std::int64_t>(args.dims.query_heads) * args.dims.head_dim : 0) {}
};

/// Where one head of one token lies.
struct HeadPlace {
  int head;
  int token;
  int image;
  std::int64_t row;

  __device__ __forceinline__ HeadPlace(int item, int heads, int tokens)
      : head(item % heads), token(item / heads % tokens), image(item / heads / tokens), row(item / heads) {}

  template <class T>
  __device__ __forceinline__ const T* in(const StridedHeads& heads) const {
    return static_cast<const T*>(heads.data) + image * heads.batch_stride + token * heads.token_stride +
           head * heads.head_stride;
  }
};

/// Columns of the packed projection.
__device__ __forceinline__ std::int64_t packed_columns(const Dims& dims) {
  return static_cast<std::int64_t>(dims.query_heads + 2 * dims.key_heads) * dims.head_dim;
}

/// For heads that the vector kernels cannot take. Stream-ordered on `stream`.
template <class T>
void launch_forward_scalar(const ForwardArgs& args, cudaStream_t stream);
template <class T>
void launch_backward_scalar(const BackwardArgs& args, cudaStream_t stream);

}  // namespace tessera::kernels::qk_norm_rope

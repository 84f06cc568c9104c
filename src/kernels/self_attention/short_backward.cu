#include "kernels/self_attention/key_gradients.cuh"
#include "kernels/self_attention/query_gradient.cuh"
#include "kernels/teams.cuh"

#include <limits>

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
  query_gradients(args, shared, place, tiling);
  synchronise_after_teams();
  for (int index = 0; index * kAlong < in.dims.tokens; ++index) {
    if (is_mine(index)) {
      key_gradients(args, shared, place, tiling, index * kAlong);
    }
  }
  synchronise_after_teams();
  store_weights(args, shared);
}

}  // namespace

bool is_short(const Dims& dims, std::int64_t head_dim) {
  constexpr int kMaxSharedBytes = 227 << 10;  // of a block, on Hopper
  return head_dim == kHeadDim && dims.tokens <= kMaxTokens && dims.query_heads / dims.key_heads <= kTileRows &&
         dims.batch <= kMaxBatch &&
         std::int64_t{dims.batch} * dims.tokens * dims.query_heads <= std::numeric_limits<int>::max() &&
         Shared::bytes(dims) <= kMaxSharedBytes;
}

void launch_short_backward(const BackwardArgs& args, cudaStream_t stream) {
  const int shared_bytes = Shared::bytes(args.in.dims);
  cudaFuncSetAttribute(backward_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  const dim3 grid(static_cast<unsigned>(args.in.dims.key_heads), static_cast<unsigned>(args.in.dims.batch));
  backward_kernel<<<grid, kThreads, static_cast<std::size_t>(shared_bytes), stream>>>(args);
}

}  // namespace tessera::kernels::self_attention

#pragma once

#include "kernels/vectors.cuh"

#include <algorithm>
#include <cstdint>

// What the kernels over flat ranges share. A thread works on quads: 4 neighbouring elements, 16 bytes of fp32 or 8 of
// bf16, so that a warp's accesses are whole 128-byte lines in every tensor.

namespace tessera::kernels::optimizer {

constexpr int kThreads = 256;
constexpr int kQuads = 2;  // of one thread, whose loads are under way together

template <class T>
__device__ __forceinline__ float4 load_quad(const T* address) {
  if constexpr (sizeof(T) == 4) {
    return *reinterpret_cast<const float4*>(address);
  } else {
    const uint2 raw = *reinterpret_cast<const uint2*>(address);
    return {__uint_as_float(raw.x << 16U), __uint_as_float(raw.x & 0xFFFF0000U), __uint_as_float(raw.y << 16U),
            __uint_as_float(raw.y & 0xFFFF0000U)};
  }
}

__device__ __forceinline__ void store_quad(float* address, const float4& quad) {
  *reinterpret_cast<float4*>(address) = quad;
}

__device__ __forceinline__ void store_quad(__nv_bfloat16* address, const float4& quad) {
  const __nv_bfloat162 low = __floats2bfloat162_rn(quad.x, quad.y);
  const __nv_bfloat162 high = __floats2bfloat162_rn(quad.z, quad.w);
  *reinterpret_cast<uint2*>(address) =
      make_uint2(*reinterpret_cast<const std::uint32_t*>(&low), *reinterpret_cast<const std::uint32_t*>(&high));
}

/// The sum over a block, in thread 0.
__device__ __forceinline__ double sum_over_block(double value) {
  __shared__ double sums[kThreads / kWarp];
  value = sum_over_lanes(value);
  if (threadIdx.x % kWarp == 0) {
    sums[threadIdx.x / kWarp] = value;
  }
  __syncthreads();
  double total = 0;
  if (threadIdx.x == 0) {
    for (const double sum : sums) {
      total += sum;
    }
  }
  return total;
}

/// At least one: its first threads do the tail.
inline unsigned blocks_of(std::int64_t size, std::int64_t per_block) {
  return static_cast<unsigned>(std::max<std::int64_t>(1, (size + per_block - 1) / per_block));
}

inline std::size_t quad_bytes(core::DType dtype) { return 4 * core::size_of(dtype); }

}  // namespace tessera::kernels::optimizer

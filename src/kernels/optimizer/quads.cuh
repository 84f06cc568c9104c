#pragma once

#include "kernels/optimizer/moment_pointers.hpp"
#include "kernels/optimizer/parameter_pointers.hpp"
#include "kernels/optimizer/stochastic_rounding.hpp"
#include "kernels/vectors.cuh"

#include <cuda_runtime_api.h>

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

template <class T>
__device__ __forceinline__ T* values_of(const MomentPointers& moment) {
  return static_cast<T*>(moment.values);
}

/// Stores an element of a moment: `random` has the 16 bits that round it where it is bf16.
__device__ __forceinline__ void store_moment(float* address, float value, std::uint32_t /*random*/) {
  *address = value;
}

__device__ __forceinline__ void store_moment(__nv_bfloat16* address, float value, std::uint32_t random) {
  *reinterpret_cast<std::uint16_t*>(address) = round_stochastically(__float_as_uint(value), random);
}

__device__ __forceinline__ void store_moment_quad(float* address, const float4& quad, const uint4& /*random*/) {
  store_quad(address, quad);
}

__device__ __forceinline__ void store_moment_quad(__nv_bfloat16* address, const float4& quad, const uint4& random) {
  *reinterpret_cast<ushort4*>(address) = make_ushort4(
      round_stochastically(__float_as_uint(quad.x), random.x), round_stochastically(__float_as_uint(quad.y), random.y),
      round_stochastically(__float_as_uint(quad.z), random.z), round_stochastically(__float_as_uint(quad.w), random.w));
}

/// 16 of the random bits of elements `first` to `first` + 3, the lower ones or those above `shift`.
__device__ __forceinline__ uint4 random_quad(const RoundingBits& bits, std::int64_t first, unsigned shift) {
  const auto of = [&](std::uint32_t k) { return (bits.of(static_cast<std::uint32_t>(first) + k) >> shift) & 0xFFFFU; };
  return {of(0), of(1), of(2), of(3)};
}

__device__ __forceinline__ float load_parameter(const ParameterPointers& parameter, std::int64_t i) {
  return parameter.is_split() ? __uint_as_float(core::join_float({parameter.high[i], parameter.low[i]}))
                              : parameter.whole[i];
}

__device__ __forceinline__ void store_parameter(const ParameterPointers& parameter, std::int64_t i, float value) {
  if (parameter.is_split()) {
    const core::SplitFloat halves = core::split_float(__float_as_uint(value));
    parameter.high[i] = halves.high;
    parameter.low[i] = halves.low;
  } else {
    parameter.whole[i] = value;
  }
}

/// The quad whose first element is `first`.
__device__ __forceinline__ float4 load_parameter_quad(const ParameterPointers& parameter, std::int64_t first) {
  if (!parameter.is_split()) {
    return load_quad(parameter.whole + first);
  }
  const ushort4 high = *reinterpret_cast<const ushort4*>(parameter.high + first);
  const ushort4 low = *reinterpret_cast<const ushort4*>(parameter.low + first);
  return {__uint_as_float(core::join_float({high.x, low.x})), __uint_as_float(core::join_float({high.y, low.y})),
          __uint_as_float(core::join_float({high.z, low.z})), __uint_as_float(core::join_float({high.w, low.w}))};
}

__device__ __forceinline__ void store_parameter_quad(const ParameterPointers& parameter, std::int64_t first,
                                                     const float4& quad) {
  if (!parameter.is_split()) {
    store_quad(parameter.whole + first, quad);
    return;
  }
  const core::SplitFloat x = core::split_float(__float_as_uint(quad.x));
  const core::SplitFloat y = core::split_float(__float_as_uint(quad.y));
  const core::SplitFloat z = core::split_float(__float_as_uint(quad.z));
  const core::SplitFloat w = core::split_float(__float_as_uint(quad.w));
  *reinterpret_cast<ushort4*>(parameter.high + first) = make_ushort4(x.high, y.high, z.high, w.high);
  *reinterpret_cast<ushort4*>(parameter.low + first) = make_ushort4(x.low, y.low, z.low, w.low);
}

inline bool is_aligned_for_quads(const ParameterPointers& parameter) {
  return are_aligned(16, parameter.whole) && are_aligned(8, parameter.high, parameter.low);
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
inline std::size_t quad_bytes(const MomentPointers& moment) { return moment.is_coded() ? 4 : quad_bytes(moment.dtype); }

}  // namespace tessera::kernels::optimizer

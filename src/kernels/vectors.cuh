#pragma once

#include "tessera/core/dtype.hpp"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

// What the kernels share: 16-byte vectors of fp32 or bf16, sums over lanes and blocks, and the choice of T by DType.

namespace tessera::kernels {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xFFFFFFFFU;

/// Elements in 16 bytes.
template <class T>
constexpr int kVectorSize = 16 / static_cast<int>(sizeof(T));

/// 16 bytes of T, still packed: a register array of these takes half the registers of the fp32 numbers that they hold.
template <class T>
struct alignas(16) Vector {
  std::uint32_t word[4];
};

template <class T>
__device__ __forceinline__ Vector<T> load_vector(const T* address) {
  const uint4 raw = *reinterpret_cast<const uint4*>(address);
  return {{raw.x, raw.y, raw.z, raw.w}};
}

template <class T>
__device__ __forceinline__ void store_vector(T* address, const Vector<T>& vector) {
  *reinterpret_cast<uint4*>(address) = make_uint4(vector.word[0], vector.word[1], vector.word[2], vector.word[3]);
}

/// Element i; i must be known when compiling, or the vector goes to memory.
__device__ __forceinline__ float element(const Vector<float>& vector, int i) { return __uint_as_float(vector.word[i]); }

__device__ __forceinline__ float element(const Vector<__nv_bfloat16>& vector, int i) {
  const std::uint32_t word = vector.word[i / 2];
  return __uint_as_float(i % 2 == 0 ? word << 16U : word & 0xFFFF0000U);
}

/// Makes the compiler unpack the elements anew behind this point. It would keep those that are used on both sides of a
/// barrier, in twice as many registers, and spill.
template <class T>
__device__ __forceinline__ void forget_elements(Vector<T>& vector) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    asm volatile("" : "+r"(vector.word[i]));
  }
}

template <class T>
__device__ __forceinline__ Vector<T> pack(const float (&values)[kVectorSize<T>]) {
  Vector<T> vector;
  if constexpr (sizeof(T) == 4) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      vector.word[i] = __float_as_uint(values[i]);
    }
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const __nv_bfloat162 pair = __floats2bfloat162_rn(values[2 * i], values[2 * i + 1]);
      vector.word[i] = *reinterpret_cast<const std::uint32_t*>(&pair);
    }
  }
  return vector;
}

__device__ __forceinline__ float to_float(float value) { return value; }
__device__ __forceinline__ float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }

template <class T>
__device__ __forceinline__ T from_float(float value) {
  if constexpr (sizeof(T) == 4) {
    return value;
  } else {
    return __float2bfloat16_rn(value);
  }
}

/// The sum over groups of `lanes` neighbouring lanes (a power of two), in each of them.
template <class T>
__device__ __forceinline__ T sum_over_lanes(T value, int lanes = kWarp) {
  for (int offset = lanes / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, offset);
  }
  return value;
}

/// Whether every pointer may be read and written `bytes` at a time.
template <class... Pointers>
bool are_aligned(std::size_t bytes, const Pointers*... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % bytes == 0) && ...);
}

/// Calls `work` with a value of the element type.
template <class Work>
void dispatch(core::DType dtype, const Work& work) {
  if (dtype == core::DType::kFloat32) {
    work(float{});
  } else {
    work(__nv_bfloat16{});
  }
}

/// Calls `work` with a value of each of two element types.
template <class Work>
void dispatch(core::DType first, core::DType second, const Work& work) {
  dispatch(first, [&](auto a) { dispatch(second, [&](auto b) { work(a, b); }); });
}

}  // namespace tessera::kernels

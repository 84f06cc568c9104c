#pragma once

// Arithmetic that the CPU's loops and the CUDA kernels share: nvcc compiles it too.

#ifdef __CUDACC__
#define TESSERA_ELEMENT_FUNCTION __host__ __device__ __forceinline__
#else
#define TESSERA_ELEMENT_FUNCTION [[gnu::always_inline]] inline
#endif

namespace tessera::core {

// A product that is added to something must be rounded first, or the compilers would fuse the two, each in its own way.
// nvcc does not fuse these intrinsics; the CPU loop is compiled with -ffp-contract=off.
TESSERA_ELEMENT_FUNCTION float rounded_product(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

}  // namespace tessera::core

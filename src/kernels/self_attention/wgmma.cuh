#pragma once

#include <cuda_runtime.h>

#include <cstdint>

// Products of Hopper's tensor cores, wgmma.mma_async: 128 threads (a warp group), 64 rows x kColumns, 16 deep, bf16
// with fp32 sums. A thread's part of a result is Sums<kColumns>: of columns 8t + 2 (lane % 4) and the next one, [t][0]
// and [1] are of row lane / 4 of the warp's 16 rows, [t][2] and [3] of row lane / 4 + 8.
//
// Nothing may touch a result, or a left factor in registers, between the first product and wait().

namespace tessera::kernels::wgmma {

template <int kColumns>
struct Sums {
  float at[kColumns / 8][4];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int t = 0; t < kColumns / 8; ++t) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        at[t][i] = 0;
      }
    }
  }
};

/// A left factor of 64 x 16 in registers: [0], [2] are of row lane / 4, columns 2 (lane % 4) and the next, and those 8
/// further on; [1], [3] of row lane / 4 + 8.
struct Left {
  std::uint32_t at[4];
};

__device__ __forceinline__ void begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wait() { asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory"); }

/// Keeps the compiler from moving what it does with the registers across begin() or wait().
template <int kColumns>
__device__ __forceinline__ void pin(Sums<kColumns>& sums) {
#pragma unroll
  for (int t = 0; t < kColumns / 8; ++t) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      asm volatile("" : "+f"(sums.at[t][i])::"memory");
    }
  }
}

/// A matrix in shared memory whose rows are pieces of 64 elements (128 bytes), swizzled by 128 bytes. `rows_bytes`:
/// between 8 rows and the next 8. `columns_bytes`: between 64 columns and the next 64, where the columns are the
/// product's (a transposed right factor); 0 elsewhere.
__device__ __forceinline__ std::uint64_t describe(const void* shared, std::uint32_t rows_bytes,
                                                  std::uint32_t columns_bytes) {
  constexpr std::uint64_t kSwizzle128 = std::uint64_t{1} << 62U;
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  return kSwizzle128 | (std::uint64_t{(address & 0x3FFFFU) >> 4U}) | (std::uint64_t{columns_bytes >> 4U} << 16U) |
         (std::uint64_t{rows_bytes >> 4U} << 32U);
}

/// sums (+)= left right^T, or left right where the right factor is transposed: 16 rows of it then. `add` false: without
/// what was there.
template <bool kTransposed>
__device__ __forceinline__ void multiply_add(Sums<16>& sums, const Left& left, std::uint64_t right, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %13, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7}"
      ", {%8, %9, %10, %11}, %12, add, 1, 1, %14;\n}\n"
      : "+f"(sums.at[0][0]), "+f"(sums.at[0][1]), "+f"(sums.at[0][2]), "+f"(sums.at[0][3]), "+f"(sums.at[1][0]),
        "+f"(sums.at[1][1]), "+f"(sums.at[1][2]), "+f"(sums.at[1][3])
      : "r"(left.at[0]), "r"(left.at[1]), "r"(left.at[2]), "r"(left.at[3]), "l"(right), "r"(static_cast<int>(add)),
        "n"(kTransposed ? 1 : 0));
}

template <bool kTransposed>
__device__ __forceinline__ void multiply_add(Sums<32>& sums, const Left& left, std::uint64_t right, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %21, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, "
      "%13, %14, %15}"
      ", {%16, %17, %18, %19}, %20, add, 1, 1, %22;\n}\n"
      : "+f"(sums.at[0][0]), "+f"(sums.at[0][1]), "+f"(sums.at[0][2]), "+f"(sums.at[0][3]), "+f"(sums.at[1][0]),
        "+f"(sums.at[1][1]), "+f"(sums.at[1][2]), "+f"(sums.at[1][3]), "+f"(sums.at[2][0]), "+f"(sums.at[2][1]),
        "+f"(sums.at[2][2]), "+f"(sums.at[2][3]), "+f"(sums.at[3][0]), "+f"(sums.at[3][1]), "+f"(sums.at[3][2]),
        "+f"(sums.at[3][3])
      : "r"(left.at[0]), "r"(left.at[1]), "r"(left.at[2]), "r"(left.at[3]), "l"(right), "r"(static_cast<int>(add)),
        "n"(kTransposed ? 1 : 0));
}

template <bool kTransposed>
__device__ __forceinline__ void multiply_add(Sums<48>& sums, const Left& left, std::uint64_t right, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %29, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n48k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, "
      "%13, %14, %15, %16, %17, %18, %19, %20, %21, "
      "%22, %23}"
      ", {%24, %25, %26, %27}, %28, add, 1, 1, %30;\n}\n"
      : "+f"(sums.at[0][0]), "+f"(sums.at[0][1]), "+f"(sums.at[0][2]), "+f"(sums.at[0][3]), "+f"(sums.at[1][0]),
        "+f"(sums.at[1][1]), "+f"(sums.at[1][2]), "+f"(sums.at[1][3]), "+f"(sums.at[2][0]), "+f"(sums.at[2][1]),
        "+f"(sums.at[2][2]), "+f"(sums.at[2][3]), "+f"(sums.at[3][0]), "+f"(sums.at[3][1]), "+f"(sums.at[3][2]),
        "+f"(sums.at[3][3]), "+f"(sums.at[4][0]), "+f"(sums.at[4][1]), "+f"(sums.at[4][2]), "+f"(sums.at[4][3]),
        "+f"(sums.at[5][0]), "+f"(sums.at[5][1]), "+f"(sums.at[5][2]), "+f"(sums.at[5][3])
      : "r"(left.at[0]), "r"(left.at[1]), "r"(left.at[2]), "r"(left.at[3]), "l"(right), "r"(static_cast<int>(add)),
        "n"(kTransposed ? 1 : 0));
}

template <bool kTransposed>
__device__ __forceinline__ void multiply_add(Sums<64>& sums, const Left& left, std::uint64_t right, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, "
      "%13, %14, %15, %16, %17, %18, %19, %20, %21, "
      "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31}"
      ", {%32, %33, %34, %35}, %36, add, 1, 1, %38;\n}\n"
      : "+f"(sums.at[0][0]), "+f"(sums.at[0][1]), "+f"(sums.at[0][2]), "+f"(sums.at[0][3]), "+f"(sums.at[1][0]),
        "+f"(sums.at[1][1]), "+f"(sums.at[1][2]), "+f"(sums.at[1][3]), "+f"(sums.at[2][0]), "+f"(sums.at[2][1]),
        "+f"(sums.at[2][2]), "+f"(sums.at[2][3]), "+f"(sums.at[3][0]), "+f"(sums.at[3][1]), "+f"(sums.at[3][2]),
        "+f"(sums.at[3][3]), "+f"(sums.at[4][0]), "+f"(sums.at[4][1]), "+f"(sums.at[4][2]), "+f"(sums.at[4][3]),
        "+f"(sums.at[5][0]), "+f"(sums.at[5][1]), "+f"(sums.at[5][2]), "+f"(sums.at[5][3]), "+f"(sums.at[6][0]),
        "+f"(sums.at[6][1]), "+f"(sums.at[6][2]), "+f"(sums.at[6][3]), "+f"(sums.at[7][0]), "+f"(sums.at[7][1]),
        "+f"(sums.at[7][2]), "+f"(sums.at[7][3])
      : "r"(left.at[0]), "r"(left.at[1]), "r"(left.at[2]), "r"(left.at[3]), "l"(right), "r"(static_cast<int>(add)),
        "n"(kTransposed ? 1 : 0));
}

template <bool kTransposed>
__device__ __forceinline__ void multiply_add(Sums<128>& sums, const Left& left, std::uint64_t right, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %69, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, "
      "%13, %14, %15, %16, %17, %18, %19, %20, %21, "
      "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, "
      "%42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, "
      "%62, %63}"
      ", {%64, %65, %66, %67}, %68, add, 1, 1, %70;\n}\n"
      : "+f"(sums.at[0][0]), "+f"(sums.at[0][1]), "+f"(sums.at[0][2]), "+f"(sums.at[0][3]), "+f"(sums.at[1][0]),
        "+f"(sums.at[1][1]), "+f"(sums.at[1][2]), "+f"(sums.at[1][3]), "+f"(sums.at[2][0]), "+f"(sums.at[2][1]),
        "+f"(sums.at[2][2]), "+f"(sums.at[2][3]), "+f"(sums.at[3][0]), "+f"(sums.at[3][1]), "+f"(sums.at[3][2]),
        "+f"(sums.at[3][3]), "+f"(sums.at[4][0]), "+f"(sums.at[4][1]), "+f"(sums.at[4][2]), "+f"(sums.at[4][3]),
        "+f"(sums.at[5][0]), "+f"(sums.at[5][1]), "+f"(sums.at[5][2]), "+f"(sums.at[5][3]), "+f"(sums.at[6][0]),
        "+f"(sums.at[6][1]), "+f"(sums.at[6][2]), "+f"(sums.at[6][3]), "+f"(sums.at[7][0]), "+f"(sums.at[7][1]),
        "+f"(sums.at[7][2]), "+f"(sums.at[7][3]), "+f"(sums.at[8][0]), "+f"(sums.at[8][1]), "+f"(sums.at[8][2]),
        "+f"(sums.at[8][3]), "+f"(sums.at[9][0]), "+f"(sums.at[9][1]), "+f"(sums.at[9][2]), "+f"(sums.at[9][3]),
        "+f"(sums.at[10][0]), "+f"(sums.at[10][1]), "+f"(sums.at[10][2]), "+f"(sums.at[10][3]), "+f"(sums.at[11][0]),
        "+f"(sums.at[11][1]), "+f"(sums.at[11][2]), "+f"(sums.at[11][3]), "+f"(sums.at[12][0]), "+f"(sums.at[12][1]),
        "+f"(sums.at[12][2]), "+f"(sums.at[12][3]), "+f"(sums.at[13][0]), "+f"(sums.at[13][1]), "+f"(sums.at[13][2]),
        "+f"(sums.at[13][3]), "+f"(sums.at[14][0]), "+f"(sums.at[14][1]), "+f"(sums.at[14][2]), "+f"(sums.at[14][3]),
        "+f"(sums.at[15][0]), "+f"(sums.at[15][1]), "+f"(sums.at[15][2]), "+f"(sums.at[15][3])
      : "r"(left.at[0]), "r"(left.at[1]), "r"(left.at[2]), "r"(left.at[3]), "l"(right), "r"(static_cast<int>(add)),
        "n"(kTransposed ? 1 : 0));
}

/// The same with the left factor in shared memory.
__device__ __forceinline__ void multiply_add(Sums<64>& sums, std::uint64_t left, std::uint64_t right, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, "
      "%13, %14, %15, %16, %17, %18, %19, %20, %21, "
      "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31}"
      ", %32, %33, add, 1, 1, 0, 0;\n}\n"
      : "+f"(sums.at[0][0]), "+f"(sums.at[0][1]), "+f"(sums.at[0][2]), "+f"(sums.at[0][3]), "+f"(sums.at[1][0]),
        "+f"(sums.at[1][1]), "+f"(sums.at[1][2]), "+f"(sums.at[1][3]), "+f"(sums.at[2][0]), "+f"(sums.at[2][1]),
        "+f"(sums.at[2][2]), "+f"(sums.at[2][3]), "+f"(sums.at[3][0]), "+f"(sums.at[3][1]), "+f"(sums.at[3][2]),
        "+f"(sums.at[3][3]), "+f"(sums.at[4][0]), "+f"(sums.at[4][1]), "+f"(sums.at[4][2]), "+f"(sums.at[4][3]),
        "+f"(sums.at[5][0]), "+f"(sums.at[5][1]), "+f"(sums.at[5][2]), "+f"(sums.at[5][3]), "+f"(sums.at[6][0]),
        "+f"(sums.at[6][1]), "+f"(sums.at[6][2]), "+f"(sums.at[6][3]), "+f"(sums.at[7][0]), "+f"(sums.at[7][1]),
        "+f"(sums.at[7][2]), "+f"(sums.at[7][3])
      : "l"(left), "l"(right), "r"(static_cast<int>(add)));
}

}  // namespace tessera::kernels::wgmma

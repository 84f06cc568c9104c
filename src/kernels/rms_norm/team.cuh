#pragma once

#include "kernels/vectors.cuh"

#include <cstdint>
#include <type_traits>

// Shapes: N rows, D columns. A row belongs to a team of warps, kVectors 16-byte vectors a thread. A block is (team,
// teams): threadIdx.x runs along the row, threadIdx.y numbers the rows that are worked on at the same time.

namespace tessera::kernels::rms_norm {

constexpr int kMaxVectors = 4;  // of a thread

/// How a row is spread over threads.
struct Team {
  std::int64_t num_vectors;  ///< of the row; 0: it is no whole number of them
  std::int64_t num_threads;

  Team(std::int64_t num_columns, int vector_size)
      : num_vectors(num_columns % vector_size == 0 ? num_columns / vector_size : 0),
        num_threads((num_vectors + kWarp * kMaxVectors - 1) / (kWarp * kMaxVectors) * kWarp) {}

  [[nodiscard]] bool fits(int max_threads) const { return num_vectors > 0 && num_threads <= max_threads; }
  [[nodiscard]] std::int64_t vectors_per_thread() const { return (num_vectors + num_threads - 1) / num_threads; }
};

inline int vector_size(core::DType dtype) { return static_cast<int>(16 / core::size_of(dtype)); }

/// Vector v of the thread's.
__device__ __forceinline__ int vector_index(int v) { return static_cast<int>(threadIdx.x + v * blockDim.x); }

/// Vectors threadIdx.x, threadIdx.x + blockDim.x, ... of a row; zeros behind its end.
template <class T, int kVectors>
__device__ __forceinline__ void load_row(const T* row, int num_vectors, bool is_row, Vector<T> (&vectors)[kVectors]) {
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int index = vector_index(v);
    vectors[v] = Vector<T>{};
    if (is_row && index < num_vectors) {
      vectors[v] = load_vector(row + static_cast<std::int64_t>(index) * kVectorSize<T>);
    }
  }
}

/// Calls `work` with the smallest of 1, 2 and 4 that holds `vectors`, as a compile-time constant.
template <class Work>
void dispatch_vectors(std::int64_t vectors, const Work& work) {
  if (vectors <= 1) {
    work(std::integral_constant<int, 1>{});
  } else if (vectors == 2) {
    work(std::integral_constant<int, 2>{});
  } else {
    work(std::integral_constant<int, kMaxVectors>{});
  }
}

}  // namespace tessera::kernels::rms_norm

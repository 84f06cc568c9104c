#include "kernels/rms_norm/rms_norm_cuda.hpp"
#include "kernels/vectors.cuh"

#include <algorithm>

// Shapes: N rows, D columns. A row is read once and stays in the registers of a team of warps, kVectors 16-byte vectors
// a thread. A block is (team, teams): threadIdx.x runs along the row, threadIdx.y numbers the rows that are worked on
// at the same time. The formulas are derived in reference.cpp.

namespace tessera::kernels::rms_norm {
namespace {

constexpr int kMaxVectors = 4;
constexpr int kForwardThreads = 128;  // a block's, where a row does not need more
constexpr int kBackwardThreads = 256;
constexpr int kMaxForwardThreads = 1024;
constexpr int kMaxBackwardThreads = 512;  // each may have 128 registers then
// Backward blocks are few, so that few partial rows are written: as many as an H200 (132 SMs) runs at the same time.
constexpr int kNumSms = 132;
constexpr int kBackwardThreadsPerSm = 512;

/// How a row is spread over threads.
struct Team {
  std::int64_t num_vectors;  ///< of the row; 0: it is no whole number of them
  std::int64_t num_threads;

  Team(std::int64_t num_columns, int vector_size)
      : num_vectors(num_columns % vector_size == 0 ? num_columns / vector_size : 0),
        num_threads((num_vectors + kWarp * kMaxVectors - 1) / (kWarp * kMaxVectors) * kWarp) {}

  [[nodiscard]] bool fits(int max_threads) const { return num_vectors > 0 && num_threads <= max_threads; }
  /// Rows that a block of about `block_threads` works on at the same time.
  [[nodiscard]] int teams(int block_threads) const {
    return static_cast<int>(std::max<std::int64_t>(1, block_threads / std::max<std::int64_t>(num_threads, 1)));
  }
  [[nodiscard]] dim3 block(int block_threads) const {
    return {static_cast<unsigned>(num_threads), static_cast<unsigned>(teams(block_threads))};
  }
  [[nodiscard]] std::int64_t vectors_per_thread() const { return (num_vectors + num_threads - 1) / num_threads; }
};

/// The sum over a team's threads, in each of them. Every thread of the block calls it; `turn` alternates between calls,
/// so that a slow reader of one call's sums and a fast writer of the next call's do not meet.
__device__ __forceinline__ float sum_over_team(float value, int turn) {
  __shared__ float sums[2][kMaxForwardThreads / kWarp];
  value = sum_over_lanes(value);
  const auto num_warps = static_cast<int>(blockDim.x) / kWarp;
  if (num_warps == 1) {
    return value;
  }
  float* const team = &sums[turn][static_cast<int>(threadIdx.y) * num_warps];
  if (threadIdx.x % kWarp == 0) {
    team[threadIdx.x / kWarp] = value;
  }
  __syncthreads();
  float total = 0;
  for (int warp = 0; warp < num_warps; ++warp) {
    total += team[warp];
  }
  return total;
}

/// Vectors threadIdx.x, threadIdx.x + blockDim.x, ... of a row; zeros behind its end.
template <class T, int kVectors>
__device__ __forceinline__ void load_row(const T* row, int num_vectors, bool is_row, Vector<T> (&vectors)[kVectors]) {
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const auto index = static_cast<int>(threadIdx.x + v * blockDim.x);
    vectors[v] = Vector<T>{};
    if (is_row && index < num_vectors) {
      vectors[v] = load_vector(row + static_cast<std::int64_t>(index) * kVectorSize<T>);
    }
  }
}

template <class T, int kVectors>
__global__ void __launch_bounds__(kMaxForwardThreads) forward_kernel(ForwardArgs args) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const bool is_row = row < args.num_rows;
  const auto num_vectors = static_cast<int>(args.num_columns / kVectorSize<T>);
  Vector<T> x[kVectors];
  Vector<T> weight[kVectors];
  load_row(static_cast<const T*>(args.x_ND) + row * args.num_columns, num_vectors, is_row, x);
  load_row(static_cast<const T*>(args.weight_D), num_vectors, true, weight);
  float sum = 0;
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
#pragma unroll
    for (int i = 0; i < kVectorSize<T>; ++i) {
      sum += element(x[v], i) * element(x[v], i);
    }
  }
  const float rstd = rsqrtf(sum_over_team(sum, 0) / static_cast<float>(args.num_columns) + args.eps);
  if (!is_row) {
    return;
  }
  if (threadIdx.x == 0) {
    args.rstd_N[row] = rstd;
  }
  T* const y = static_cast<T*>(args.y_ND) + row * args.num_columns;
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const auto index = static_cast<int>(threadIdx.x + v * blockDim.x);
    if (index < num_vectors) {
      float values[kVectorSize<T>];
#pragma unroll
      for (int i = 0; i < kVectorSize<T>; ++i) {
        values[i] = element(x[v], i) * rstd * element(weight[v], i);
      }
      store_vector(y + static_cast<std::int64_t>(index) * kVectorSize<T>, pack<T>(values));
    }
  }
}

/// Adds the teams' sums in their order, and writes the block's row of partial_PD.
template <class T, int kVectors>
__device__ __forceinline__ void store_partial(const float (&dweight)[kVectors][kVectorSize<T>], int num_vectors,
                                              float* partial) {
  extern __shared__ float team_sums[];  // [teams - 1][D]
  const int num_columns = num_vectors * kVectorSize<T>;
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const auto index = static_cast<int>(threadIdx.x + v * blockDim.x);
#pragma unroll
    for (int i = 0; i < kVectorSize<T>; ++i) {
      if (threadIdx.y > 0 && index < num_vectors) {
        team_sums[(static_cast<int>(threadIdx.y) - 1) * num_columns + index * kVectorSize<T> + i] = dweight[v][i];
      }
    }
  }
  __syncthreads();
  if (threadIdx.y > 0) {
    return;
  }
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const auto index = static_cast<int>(threadIdx.x + v * blockDim.x);
#pragma unroll
    for (int i = 0; i < kVectorSize<T>; ++i) {
      if (index < num_vectors) {
        const int column = index * kVectorSize<T> + i;
        float total = dweight[v][i];
        for (int team = 1; team < static_cast<int>(blockDim.y); ++team) {
          total += team_sums[(team - 1) * num_columns + column];
        }
        partial[column] = total;
      }
    }
  }
}

/// Vector v of the thread's, from the L1 cache: backward has no registers to keep the weight in.
template <class T>
__device__ __forceinline__ Vector<T> load_weight(const void* weight_D, int v, int num_vectors) {
  const auto index = static_cast<int>(threadIdx.x + v * blockDim.x);
  return index < num_vectors
             ? load_vector(static_cast<const T*>(weight_D) + static_cast<std::int64_t>(index) * kVectorSize<T>)
             : Vector<T>{};
}

/// A block takes rows in strides and keeps its share of the weight's gradient in registers until the end.
template <class T, int kVectors>
__global__ void __launch_bounds__(kMaxBackwardThreads) backward_kernel(BackwardArgs args) {
  constexpr int kSize = kVectorSize<T>;
  const auto num_vectors = static_cast<int>(args.num_columns / kSize);
  const float inverse_columns = 1.0F / static_cast<float>(args.num_columns);
  float dweight[kVectors][kSize] = {};
  int turn = 0;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.y;
  for (std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * blockDim.y; first < args.num_rows;
       first += stride, turn ^= 1) {
    const std::int64_t row = first + threadIdx.y;
    const bool is_row = row < args.num_rows;
    const std::int64_t offset = row * args.num_columns;
    Vector<T> x[kVectors];
    Vector<T> dy[kVectors];
    Vector<T> residual[kVectors];
    load_row(static_cast<const T*>(args.x_ND) + offset, num_vectors, is_row, x);
    load_row(static_cast<const T*>(args.dy_ND) + offset, num_vectors, is_row, dy);
    load_row(static_cast<const T*>(args.residual_ND) + offset, num_vectors, is_row && args.residual_ND != nullptr,
             residual);
    const float rstd = is_row ? args.rstd_N[row] : 0;
    float dot = 0;
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      const Vector<T> weight = load_weight<T>(args.weight_D, v, num_vectors);
#pragma unroll
      for (int i = 0; i < kSize; ++i) {
        const float product = element(dy[v], i) * (element(x[v], i) * rstd);
        dweight[v][i] += product;
        dot += product * element(weight, i);
      }
    }
    const float slope = sum_over_team(dot, turn) * inverse_columns * rstd;
    T* const dx = static_cast<T*>(args.dx_ND) + offset;
    T* const y = static_cast<T*>(args.dy_ND) + offset;
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      const auto index = static_cast<int>(threadIdx.x + v * blockDim.x);
      forget_elements(x[v]);
      forget_elements(dy[v]);
      if (is_row && index < num_vectors) {
        const Vector<T> weight = load_weight<T>(args.weight_D, v, num_vectors);
        float values[kSize];
        float made[kSize];
#pragma unroll
        for (int i = 0; i < kSize; ++i) {
          const float g = element(dy[v], i) * element(weight, i);
          values[i] = (g - element(x[v], i) * slope) * rstd + element(residual[v], i);
          made[i] = element(x[v], i) * rstd * element(weight, i);
        }
        store_vector(dx + static_cast<std::int64_t>(index) * kSize, pack<T>(values));
        store_vector(y + static_cast<std::int64_t>(index) * kSize, pack<T>(made));
      }
    }
  }
  store_partial<T, kVectors>(dweight, num_vectors, args.partial_PD + blockIdx.x * args.num_columns);
}

/// For rows that are no multiple of 16 bytes, not aligned to them, or too long: a block a row, element by element.
template <class T>
__global__ void __launch_bounds__(kBackwardThreads) forward_scalar_kernel(ForwardArgs args) {
  const std::int64_t row = blockIdx.x;
  const T* const x = static_cast<const T*>(args.x_ND) + row * args.num_columns;
  float sum = 0;
  for (std::int64_t i = threadIdx.x; i < args.num_columns; i += blockDim.x) {
    sum += to_float(x[i]) * to_float(x[i]);
  }
  const float rstd = rsqrtf(sum_over_team(sum, 0) / static_cast<float>(args.num_columns) + args.eps);
  if (threadIdx.x == 0) {
    args.rstd_N[row] = rstd;
  }
  T* const y = static_cast<T*>(args.y_ND) + row * args.num_columns;
  for (std::int64_t i = threadIdx.x; i < args.num_columns; i += blockDim.x) {
    y[i] = from_float<T>(to_float(x[i]) * rstd * to_float(static_cast<const T*>(args.weight_D)[i]));
  }
}

template <class T>
__global__ void __launch_bounds__(kBackwardThreads) backward_scalar_kernel(BackwardArgs args) {
  const std::int64_t row = blockIdx.x;
  const T* const x = static_cast<const T*>(args.x_ND) + row * args.num_columns;
  T* const dy = static_cast<T*>(args.dy_ND) + row * args.num_columns;
  const T* const weight = static_cast<const T*>(args.weight_D);
  const float rstd = args.rstd_N[row];
  float dot = 0;
  for (std::int64_t i = threadIdx.x; i < args.num_columns; i += blockDim.x) {
    dot += to_float(dy[i]) * to_float(weight[i]) * (to_float(x[i]) * rstd);
  }
  const float slope = sum_over_team(dot, 0) / static_cast<float>(args.num_columns) * rstd;
  for (std::int64_t i = threadIdx.x; i < args.num_columns; i += blockDim.x) {
    float value = (to_float(dy[i]) * to_float(weight[i]) - to_float(x[i]) * slope) * rstd;
    if (args.residual_ND != nullptr) {
      value += to_float(static_cast<const T*>(args.residual_ND)[row * args.num_columns + i]);
    }
    static_cast<T*>(args.dx_ND)[row * args.num_columns + i] = from_float<T>(value);
    dy[i] = from_float<T>(to_float(x[i]) * rstd * to_float(weight[i]));
  }
}

/// Thread (x, y): column x of the block's columns, partial row y of all, over rows y, y + P, ...
template <class T>
__global__ void __launch_bounds__(kBackwardThreads) weight_scalar_kernel(BackwardArgs args) {
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= args.num_columns) {
    return;
  }
  float total = 0;
  for (std::int64_t row = blockIdx.y; row < args.num_rows; row += gridDim.y) {
    const std::int64_t offset = row * args.num_columns + column;
    total += to_float(static_cast<const T*>(args.dy_ND)[offset]) *
             (to_float(static_cast<const T*>(args.x_ND)[offset]) * args.rstd_N[row]);
  }
  args.partial_PD[blockIdx.y * args.num_columns + column] = total;
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

int vector_size(core::DType dtype) { return static_cast<int>(16 / core::size_of(dtype)); }

}  // namespace

void launch_forward(const ForwardArgs& args, core::DType dtype, cudaStream_t stream) {
  if (args.num_rows == 0) {
    return;
  }
  const Team team(args.num_columns, vector_size(dtype));
  const bool is_vector = team.fits(kMaxForwardThreads) && are_aligned(16, args.x_ND, args.weight_D, args.y_ND);
  const int teams = team.teams(kForwardThreads);
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    if (is_vector) {
      const auto num_blocks = static_cast<unsigned>((args.num_rows + teams - 1) / teams);
      dispatch_vectors(team.vectors_per_thread(), [&](auto vectors) {
        forward_kernel<T, vectors()><<<num_blocks, team.block(kForwardThreads), 0, stream>>>(args);
      });
    } else {
      forward_scalar_kernel<T><<<static_cast<unsigned>(args.num_rows), kBackwardThreads, 0, stream>>>(args);
    }
  });
}

std::int64_t num_partials(std::int64_t num_rows, std::int64_t num_columns, core::DType dtype) {
  const Team team(num_columns, vector_size(dtype));
  const std::int64_t teams = team.teams(kBackwardThreads);
  const std::int64_t block_threads = std::max<std::int64_t>(kWarp, teams * team.num_threads);
  const std::int64_t blocks_per_sm = std::max<std::int64_t>(1, kBackwardThreadsPerSm / block_threads);
  return std::max<std::int64_t>(1, std::min((num_rows + teams - 1) / teams, kNumSms * blocks_per_sm));
}

void launch_backward(const BackwardArgs& args, core::DType dtype, cudaStream_t stream) {
  const Team team(args.num_columns, vector_size(dtype));
  const bool is_vector = team.fits(kMaxBackwardThreads) &&
                         are_aligned(16, args.dy_ND, args.x_ND, args.weight_D, args.dx_ND, args.residual_ND);
  const dim3 block = team.block(kBackwardThreads);
  const auto num_blocks = static_cast<unsigned>(num_partials(args.num_rows, args.num_columns, dtype));
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    if (is_vector) {
      const std::size_t shared_bytes = (block.y - 1) * args.num_columns * sizeof(float);
      dispatch_vectors(team.vectors_per_thread(), [&](auto vectors) {
        backward_kernel<T, vectors()><<<num_blocks, block, shared_bytes, stream>>>(args);
      });
    } else {
      const auto column_blocks = static_cast<unsigned>((args.num_columns + kBackwardThreads - 1) / kBackwardThreads);
      weight_scalar_kernel<T><<<dim3(column_blocks, num_blocks), kBackwardThreads, 0, stream>>>(args);
      if (args.num_rows > 0) {  // last: it overwrites dy
        backward_scalar_kernel<T><<<static_cast<unsigned>(args.num_rows), kBackwardThreads, 0, stream>>>(args);
      }
    }
  });
}

}  // namespace tessera::kernels::rms_norm

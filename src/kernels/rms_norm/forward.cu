#include "kernels/rms_norm/rms_norm_cuda.hpp"
#include "kernels/rms_norm/team.cuh"

#include <algorithm>

// Shapes: N rows, D columns. A row is read once and stays in the registers of its team.

namespace tessera::kernels::rms_norm {
namespace {

constexpr int kBlockThreads = 128;  // where a row does not need more
constexpr int kMaxThreads = 1024;

/// The sum over a team's threads, in each of them. Every thread of the block calls it, once.
__device__ __forceinline__ float sum_over_team(float value) {
  __shared__ float sums[kMaxThreads / kWarp];
  value = sum_over_lanes(value);
  const auto num_warps = static_cast<int>(blockDim.x) / kWarp;
  if (num_warps == 1) {
    return value;
  }
  float* const team = &sums[static_cast<int>(threadIdx.y) * num_warps];
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

template <class T, int kVectors>
__global__ void __launch_bounds__(kMaxThreads) forward_kernel(ForwardArgs args) {
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
  const float rstd = rsqrtf(sum_over_team(sum) / static_cast<float>(args.num_columns) + args.eps);
  if (!is_row) {
    return;
  }
  if (threadIdx.x == 0) {
    args.rstd_N[row] = rstd;
  }
  T* const y = static_cast<T*>(args.y_ND) + row * args.num_columns;
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int index = vector_index(v);
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

/// For rows that are no multiple of 16 bytes, not aligned to them, or too long: a block a row, element by element.
template <class T>
__global__ void __launch_bounds__(kBlockThreads) forward_scalar_kernel(ForwardArgs args) {
  const std::int64_t row = blockIdx.x;
  const T* const x = static_cast<const T*>(args.x_ND) + row * args.num_columns;
  float sum = 0;
  for (std::int64_t i = threadIdx.x; i < args.num_columns; i += blockDim.x) {
    sum += to_float(x[i]) * to_float(x[i]);
  }
  const float rstd = rsqrtf(sum_over_team(sum) / static_cast<float>(args.num_columns) + args.eps);
  if (threadIdx.x == 0) {
    args.rstd_N[row] = rstd;
  }
  T* const y = static_cast<T*>(args.y_ND) + row * args.num_columns;
  for (std::int64_t i = threadIdx.x; i < args.num_columns; i += blockDim.x) {
    y[i] = from_float<T>(to_float(x[i]) * rstd * to_float(static_cast<const T*>(args.weight_D)[i]));
  }
}

}  // namespace

void launch_forward(const ForwardArgs& args, core::DType dtype, cudaStream_t stream) {
  if (args.num_rows == 0) {
    return;
  }
  const Team team(args.num_columns, vector_size(dtype));
  const bool is_vector = team.fits(kMaxThreads) && are_aligned(16, args.x_ND, args.weight_D, args.y_ND);
  const std::int64_t teams = std::max<std::int64_t>(1, kBlockThreads / std::max<std::int64_t>(team.num_threads, 1));
  const dim3 block(static_cast<unsigned>(team.num_threads), static_cast<unsigned>(teams));
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    if (is_vector) {
      const auto num_blocks = static_cast<unsigned>((args.num_rows + teams - 1) / teams);
      dispatch_vectors(team.vectors_per_thread(),
                       [&](auto vectors) { forward_kernel<T, vectors()><<<num_blocks, block, 0, stream>>>(args); });
    } else {
      forward_scalar_kernel<T><<<static_cast<unsigned>(args.num_rows), kBlockThreads, 0, stream>>>(args);
    }
  });
}

}  // namespace tessera::kernels::rms_norm

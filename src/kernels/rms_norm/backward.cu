#include "kernels/rms_norm/rms_norm_cuda.hpp"
#include "kernels/rms_norm/team.cuh"
#include "kernels/teams.cuh"

#include <algorithm>

// Shapes: N rows, D columns. The formulas are derived in reference.cpp. A block takes rows in strides, each of its
// teams its own, and keeps its share of the weight's gradient in registers until the end. While a team computes a row,
// the next one is on its way to shared memory: that, and not the number of threads, keeps the memory busy.

namespace tessera::kernels::rms_norm {
namespace {

constexpr int kMaxThreads = 512;  // of an SM: each may have 128 registers then
constexpr int kScalarThreads = 256;
constexpr int kInputs = 3;  // x, dy and the residual path's gradient
constexpr int kStages = 2;  // rows of a team in shared memory
// As many blocks as an H200 runs at the same time, so that few partial rows are written: 132 SMs with 227 KiB each.
constexpr std::int64_t kNumSms = 132;
constexpr std::int64_t kSharedOfSm = 224 << 10;
constexpr std::int64_t kSharedOfBlock = kSharedOfSm / 2;

/// How many rows at once, in how many blocks: of the shape alone.
struct Grid {
  std::int64_t teams = 1;
  std::int64_t shared_bytes = 0;
  std::int64_t blocks = 1;

  Grid(std::int64_t num_rows, std::int64_t num_columns, core::DType dtype) {
    const Team team(num_columns, vector_size(dtype));
    const std::int64_t team_bytes = kStages * kInputs * 16 * std::max<std::int64_t>(team.num_vectors, 1);
    const std::int64_t by_threads = kMaxThreads / 2 / std::max<std::int64_t>(team.num_threads, kWarp);
    teams = std::clamp<std::int64_t>(std::min(by_threads, kSharedOfBlock / team_bytes), 1, 16);
    shared_bytes = teams * team_bytes;
    const std::int64_t threads = teams * std::max<std::int64_t>(team.num_threads, kWarp);
    const std::int64_t of_sm =
        std::clamp<std::int64_t>(std::min(kSharedOfSm / shared_bytes, kMaxThreads / threads), 1, 4);
    blocks = std::max<std::int64_t>(1, std::min((num_rows + teams - 1) / teams, kNumSms * of_sm));
  }
};

/// The sum over a team's threads, in each of them, without the block's other teams. `turn` alternates between calls, so
/// that a slow reader of one call's sums and a fast writer of the next call's do not meet.
__device__ __forceinline__ float sum_over_team(float value, int turn) {
  __shared__ float sums[2][kMaxThreads / kWarp];
  value = sum_over_lanes(value);
  const auto num_warps = static_cast<int>(blockDim.x) / kWarp;
  if (num_warps == 1) {
    return value;
  }
  float* const team = &sums[turn][static_cast<int>(threadIdx.y) * num_warps];
  if (threadIdx.x % kWarp == 0) {
    team[threadIdx.x / kWarp] = value;
  }
  asm volatile("bar.sync %0, %1;" ::"r"(threadIdx.y + 1), "r"(blockDim.x) : "memory");
  float total = 0;
  for (int warp = 0; warp < num_warps; ++warp) {
    total += team[warp];
  }
  return total;
}

/// A team's rows on their way through shared memory. Every thread fetches and reads its own vectors alone, so nobody
/// has to wait for anybody.
template <class T, int kVectors>
class RowPipeline {
 public:
  __device__ RowPipeline(const BackwardArgs& args, uint4* team_memory)
      : args_(args), memory_(team_memory), num_vectors_(static_cast<int>(args.num_columns / kVectorSize<T>)) {}

  /// Begins to fetch a row, if there is one, into a stage.
  __device__ __forceinline__ void fetch(std::int64_t row, int stage) const {
    if (row < args_.num_rows) {
      fetch_from(args_.x_ND, row, stage, 0);
      fetch_from(args_.dy_ND, row, stage, 1);
      if (args_.residual_ND != nullptr) {
        fetch_from(args_.residual_ND, row, stage, 2);
      }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }

  /// All rows but the one that was begun last are there.
  __device__ __forceinline__ void wait() const { asm volatile("cp.async.wait_group 1;" ::: "memory"); }

  __device__ __forceinline__ Vector<T> get(int stage, int input, int v) const {
    const uint4 raw = *slot(stage, input, v);
    return {{raw.x, raw.y, raw.z, raw.w}};
  }

  [[nodiscard]] __device__ __forceinline__ bool has(int v) const { return vector_index(v) < num_vectors_; }

 private:
  [[nodiscard]] __device__ __forceinline__ uint4* slot(int stage, int input, int v) const {
    return memory_ + (stage * kInputs + input) * num_vectors_ + vector_index(v);
  }

  __device__ __forceinline__ void fetch_from(const void* matrix, std::int64_t row, int stage, int input) const {
    const uint4* const from = static_cast<const uint4*>(matrix) + row * num_vectors_;
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      if (has(v)) {
        const auto to = static_cast<std::uint32_t>(__cvta_generic_to_shared(slot(stage, input, v)));
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from + vector_index(v)) : "memory");
      }
    }
  }

  const BackwardArgs& args_;
  uint4* memory_;
  int num_vectors_;
};

/// Adds the teams' sums in their order, through [teams - 1, D] of shared memory, and writes the block's row of
/// partial_PD.
template <class T, int kVectors>
__device__ __forceinline__ void store_partial(const float (&dweight)[kVectors][kVectorSize<T>], int num_vectors,
                                              float* team_sums, float* partial) {
  const int num_columns = num_vectors * kVectorSize<T>;
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int index = vector_index(v);
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
    const int index = vector_index(v);
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

template <class T, int kVectors>
__global__ void __launch_bounds__(kMaxThreads) backward_kernel(const __grid_constant__ BackwardArgs args) {
  constexpr int kSize = kVectorSize<T>;
  extern __shared__ uint4 shared[];  // [teams][kStages][kInputs] rows
  const auto num_vectors = static_cast<int>(args.num_columns / kSize);
  const RowPipeline<T, kVectors> rows(args, shared + static_cast<int>(threadIdx.y) * kStages * kInputs * num_vectors);
  const bool has_residual = args.residual_ND != nullptr;
  const float inverse_columns = 1.0F / static_cast<float>(args.num_columns);
  Vector<T> weight[kVectors];
  load_row(static_cast<const T*>(args.weight_D), num_vectors, true, weight);
  float dweight[kVectors][kSize] = {};
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.y;
  std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  rows.fetch(row, 0);
  for (int stage = 0; row < args.num_rows; row += stride, stage ^= 1) {
    rows.fetch(row + stride, stage ^ 1);
    const float rstd = args.rstd_N[row];
    rows.wait();
    float dot = 0;
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      if (rows.has(v)) {
        const Vector<T> x = rows.get(stage, 0, v);
        const Vector<T> dy = rows.get(stage, 1, v);
        forget_elements(weight[v]);
#pragma unroll
        for (int i = 0; i < kSize; ++i) {
          const float product = element(dy, i) * (element(x, i) * rstd);
          dweight[v][i] += product;
          dot += product * element(weight[v], i);
        }
      }
    }
    const float slope = sum_over_team(dot, stage) * inverse_columns * rstd;
    T* const dx = static_cast<T*>(args.dx_ND) + row * args.num_columns;
    T* const y = static_cast<T*>(args.dy_ND) + row * args.num_columns;
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      if (rows.has(v)) {
        const Vector<T> x = rows.get(stage, 0, v);
        const Vector<T> dy = rows.get(stage, 1, v);
        const Vector<T> residual = has_residual ? rows.get(stage, 2, v) : Vector<T>{};
        forget_elements(weight[v]);
        float values[kSize];
        float made[kSize];
#pragma unroll
        for (int i = 0; i < kSize; ++i) {
          const float w = element(weight[v], i);
          values[i] = (element(dy, i) * w - element(x, i) * slope) * rstd + element(residual, i);
          made[i] = element(x, i) * rstd * w;
        }
        const std::int64_t offset = static_cast<std::int64_t>(vector_index(v)) * kSize;
        store_vector(dx + offset, pack<T>(values));
        store_vector(y + offset, pack<T>(made));
      }
    }
  }
  asm volatile("cp.async.wait_all;" ::: "memory");
  synchronise_after_teams();  // they are done with their rows in shared memory
  store_partial<T, kVectors>(dweight, num_vectors, reinterpret_cast<float*>(shared),
                             args.partial_PD + blockIdx.x * args.num_columns);
}

/// For rows that are no multiple of 16 bytes, not aligned to them, or too long: a block a row, element by element.
template <class T>
__global__ void __launch_bounds__(kScalarThreads) backward_scalar_kernel(BackwardArgs args) {
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
__global__ void __launch_bounds__(kScalarThreads) weight_scalar_kernel(BackwardArgs args) {
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

// Of the current device.
std::int64_t most_shared_bytes() {
  int device = 0;
  int bytes = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  return bytes;
}

template <class T, int kVectors>
void launch(const BackwardArgs& args, const Grid& grid, const Team& team, cudaStream_t stream) {
  cudaFuncSetAttribute(backward_kernel<T, kVectors>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(grid.shared_bytes));
  const dim3 block(static_cast<unsigned>(team.num_threads), static_cast<unsigned>(grid.teams));
  backward_kernel<T, kVectors>
      <<<static_cast<unsigned>(grid.blocks), block, static_cast<std::size_t>(grid.shared_bytes), stream>>>(args);
}

}  // namespace

std::int64_t num_partials(std::int64_t num_rows, std::int64_t num_columns, core::DType dtype) {
  return Grid(num_rows, num_columns, dtype).blocks;
}

void launch_backward(const BackwardArgs& args, core::DType dtype, cudaStream_t stream) {
  const Team team(args.num_columns, vector_size(dtype));
  const Grid grid(args.num_rows, args.num_columns, dtype);
  const bool is_vector = team.fits(kMaxThreads) && grid.shared_bytes <= most_shared_bytes() &&
                         are_aligned(16, args.dy_ND, args.x_ND, args.weight_D, args.dx_ND, args.residual_ND);
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    if (is_vector) {
      dispatch_vectors(team.vectors_per_thread(),
                       [&](auto vectors) { launch<T, vectors()>(args, grid, team, stream); });
    } else {
      const auto column_blocks = static_cast<unsigned>((args.num_columns + kScalarThreads - 1) / kScalarThreads);
      weight_scalar_kernel<T>
          <<<dim3(column_blocks, static_cast<unsigned>(grid.blocks)), kScalarThreads, 0, stream>>>(args);
      if (args.num_rows > 0) {  // last: it overwrites dy
        backward_scalar_kernel<T><<<static_cast<unsigned>(args.num_rows), kScalarThreads, 0, stream>>>(args);
      }
    }
  });
}

}  // namespace tessera::kernels::rms_norm

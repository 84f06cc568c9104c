#include "kernels/column_sum.hpp"
#include "kernels/vectors.cuh"

namespace tessera::kernels {
namespace {

/// A block sums 32 columns: warp w takes rows w, w + 32, ... of all 32, and then, transposed, the 32 sums of column w.
template <class T>
__global__ void __launch_bounds__(kWarp* kWarp) column_sum_kernel(ColumnSum sum) {
  __shared__ float tile[kWarp][kWarp + 1];
  const auto lane = static_cast<int>(threadIdx.x);
  const auto warp = static_cast<int>(threadIdx.y);
  const std::int64_t first_column = static_cast<std::int64_t>(blockIdx.x) * kWarp;
  const std::int64_t column = first_column + lane;
  float total = 0;
  if (column < sum.num_columns) {
#pragma unroll 4
    for (std::int64_t row = warp; row < sum.num_rows; row += kWarp) {
      total += sum.partial_PD[row * sum.num_columns + column];
    }
  }
  tile[warp][lane] = total;
  __syncthreads();
  total = sum_over_lanes(tile[lane][warp]);
  if (lane == 0 && first_column + warp < sum.num_columns) {
    T& into = static_cast<T*>(sum.into_D)[first_column + warp];
    into = from_float<T>(sum.accumulate ? to_float(into) + total : total);
  }
}

}  // namespace

void launch_column_sum(const ColumnSum& sum, cudaStream_t stream) {
  const auto num_blocks = static_cast<unsigned>((sum.num_columns + kWarp - 1) / kWarp);
  dispatch(sum.dtype,
           [&](auto type) { column_sum_kernel<decltype(type)><<<num_blocks, dim3(kWarp, kWarp), 0, stream>>>(sum); });
}

}  // namespace tessera::kernels

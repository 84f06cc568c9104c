#include "kernels/random_fill/random_fill_cuda.hpp"
#include "kernels/vectors.cuh"

namespace tessera::kernels::random_fill {
namespace {

constexpr int kThreads = 256;

template <class T>
__device__ __forceinline__ T finish(const Affine& affine, double draw) {
  const T value = from_float<T>(scaled(affine, draw));
  return static_cast<double>(to_float(value)) < affine.limit ? value : from_float<T>(affine.below_limit);
}

/// A thread makes the four elements of one counter, or those of them that belong to the piece. `is_aligned`: the
/// piece's memory is such that whole groups of four are.
template <class Distribution, class T>
__global__ void __launch_bounds__(kThreads) fill_kernel(FillArgs args, bool is_aligned) {
  const std::int64_t counter = args.first_element / 4 + static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t start = 4 * counter - args.first_element;  // in the piece; negative for a first part of a group
  if (start >= args.size) {
    return;
  }
  const Draws draws = Distribution::draw(args.key, counter);
  T* const flat = static_cast<T*>(args.flat);
  if (is_aligned && start >= 0 && start + 4 <= args.size) {
    struct alignas(4 * sizeof(T)) Group {
      T element[4];
    } group;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      group.element[i] = finish<T>(args.affine, draws.value[i]);
    }
    *reinterpret_cast<Group*>(flat + start) = group;
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (start + i >= 0 && start + i < args.size) {
      flat[start + i] = finish<T>(args.affine, draws.value[i]);
    }
  }
}

template <class Distribution>
void launch(const FillArgs& args, cudaStream_t stream) {
  if (args.size == 0) {
    return;
  }
  const std::int64_t first_counter = args.first_element / 4;
  const std::int64_t num_counters = (args.first_element + args.size + 3) / 4 - first_counter;
  const auto num_blocks = static_cast<unsigned>((num_counters + kThreads - 1) / kThreads);
  dispatch(args.dtype, [&](auto type) {
    using T = decltype(type);
    const T* const group = static_cast<const T*>(args.flat) + (4 - args.first_element % 4) % 4;
    fill_kernel<Distribution, T><<<num_blocks, kThreads, 0, stream>>>(args, are_aligned(4 * sizeof(T), group));
  });
}

}  // namespace

void launch_normal(const FillArgs& args, cudaStream_t stream) { launch<Normal>(args, stream); }

void launch_uniform(const FillArgs& args, cudaStream_t stream) { launch<Uniform>(args, stream); }

}  // namespace tessera::kernels::random_fill

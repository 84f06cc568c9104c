#include "kernels/optimizer/average_cuda.hpp"
#include "kernels/optimizer/average_element.hpp"
#include "kernels/optimizer/quads.cuh"

// Ranges that are not aligned go element by element.

namespace tessera::kernels::optimizer {
namespace {

__device__ __forceinline__ void update_one(const AverageArgs& args, std::int64_t i) {
  args.average[i] = updated_average(args.average[i], load_parameter(args.parameter, i), args.share);
}

__global__ void __launch_bounds__(kThreads) average_kernel(AverageArgs args) {
  const std::int64_t num_quads = args.size / 4;
  const std::int64_t quad = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (quad < num_quads) {
    const float4 p = load_parameter_quad(args.parameter, 4 * quad);
    const float4 a = load_quad(args.average + 4 * quad);
    store_quad(args.average + 4 * quad, {updated_average(a.x, p.x, args.share), updated_average(a.y, p.y, args.share),
                                         updated_average(a.z, p.z, args.share), updated_average(a.w, p.w, args.share)});
  }
  const std::int64_t tail = 4 * num_quads + quad;
  if (quad < 4 && tail < args.size) {
    update_one(args, tail);
  }
}

__global__ void __launch_bounds__(kThreads) average_scalar_kernel(AverageArgs args) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < args.size) {
    update_one(args, i);
  }
}

}  // namespace

void launch_average(const AverageArgs& args, cudaStream_t stream) {
  if (is_aligned_for_quads(args.parameter) && are_aligned(16, args.average)) {
    average_kernel<<<blocks_of(args.size, 4 * kThreads), kThreads, 0, stream>>>(args);
  } else {
    average_scalar_kernel<<<blocks_of(args.size, kThreads), kThreads, 0, stream>>>(args);
  }
}

}  // namespace tessera::kernels::optimizer

#include "kernels/optimizer/momentum_cuda.hpp"
#include "kernels/optimizer/quads.cuh"
#include "kernels/optimizer/scale_blocks.cuh"

// Ranges that are not aligned go element by element.

namespace tessera::kernels::optimizer {
namespace {

constexpr int kNumSums = 3;

__device__ __forceinline__ void update(float& parameter, float& buffer, float gradient,
                                       const MomentumConstants& constants) {
  const MomentumElement e = momentum_update({parameter, buffer}, gradient, constants);
  parameter = e.parameter;
  buffer = e.buffer;
}

__device__ __forceinline__ void update_quad(float4& parameter, float4& buffer, const float4& gradient,
                                            const MomentumConstants& constants) {
  update(parameter.x, buffer.x, gradient.x, constants);
  update(parameter.y, buffer.y, gradient.y, constants);
  update(parameter.z, buffer.z, gradient.z, constants);
  update(parameter.w, buffer.w, gradient.w, constants);
}

template <class Gradient, class Moment>
__device__ __forceinline__ void update_one(const MomentumArgs& args, const MomentumConstants& constants,
                                           std::int64_t i) {
  Moment* const buffer_at = values_of<Moment>(args.buffer) + i;
  float parameter = load_parameter(args.parameter, i);
  float buffer = to_float(*buffer_at);
  update(parameter, buffer, to_float(static_cast<const Gradient*>(args.gradient)[i]), constants);
  store_parameter(args.parameter, i, parameter);
  store_moment(buffer_at, buffer, args.bits.of(static_cast<std::uint32_t>(i)) & 0xFFFFU);
}

template <class Gradient, class Moment>
__global__ void __launch_bounds__(kThreads) momentum_kernel(MomentumArgs args, MomentumConstants constants) {
  const std::int64_t num_quads = args.size / 4;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * (kThreads * kQuads) + threadIdx.x;
  float4 gradient[kQuads];
  float4 parameter[kQuads];
  float4 buffer[kQuads];
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    const std::int64_t quad = first + q * kThreads;
    if (quad < num_quads) {
      gradient[q] = load_quad(static_cast<const Gradient*>(args.gradient) + 4 * quad);
      parameter[q] = load_parameter_quad(args.parameter, 4 * quad);
      buffer[q] = load_quad(values_of<Moment>(args.buffer) + 4 * quad);
    }
  }
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    const std::int64_t quad = first + q * kThreads;
    if (quad < num_quads) {
      update_quad(parameter[q], buffer[q], gradient[q], constants);
      store_parameter_quad(args.parameter, 4 * quad, parameter[q]);
      store_moment_quad(values_of<Moment>(args.buffer) + 4 * quad, buffer[q], random_quad(args.bits, 4 * quad, 0));
    }
  }
  const std::int64_t tail = 4 * num_quads + first;
  if (first < 4 && tail < args.size) {
    update_one<Gradient, Moment>(args, constants, tail);
  }
}

template <class Gradient, class Moment>
__global__ void __launch_bounds__(kThreads) momentum_scalar_kernel(MomentumArgs args, MomentumConstants constants) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < args.size) {
    update_one<Gradient, Moment>(args, constants, i);
  }
}

/// Of a buffer that is codes.
template <class Gradient>
__global__ void __launch_bounds__(kThreads)
    momentum_blocks_kernel(MomentumArgs args, MomentumConstants constants, bool is_aligned) {
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * (kThreads * kQuads) + threadIdx.x;
  float4 gradient[kQuads];
  float4 parameter[kQuads];
  float4 buffer[kQuads];
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    const QuadPlace place(first + q * kThreads, args.size, is_aligned);
    gradient[q] = load_quad_at(static_cast<const Gradient*>(args.gradient), place);
    parameter[q] = load_parameter_quad_at(args.parameter, place);
    buffer[q] = decode_quad<true>(args.buffer, place);
  }
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    const QuadPlace place(first + q * kThreads, args.size, is_aligned);
    update_quad(parameter[q], buffer[q], gradient[q], constants);
    store_parameter_quad_at(args.parameter, place, parameter[q]);
    encode_quad<true>(args.buffer, place, buffer[q]);
  }
}

/// Products of two fp32 numbers are exact in fp64. Blocks take elements in strides.
template <class Gradient>
__global__ void __launch_bounds__(kThreads) trust_sums_kernel(TrustSumsArgs args) {
  const Gradient* const gradient = static_cast<const Gradient*>(args.gradient);
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  double sums[kNumSums] = {};
#pragma unroll 4
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < args.size; i += stride) {
    const double p = load_parameter(args.parameter, i);
    const double g = to_float(gradient[i]);
    sums[0] += p * p;
    sums[1] += p * g;
    sums[2] += g * g;
  }
#pragma unroll
  for (int k = 0; k < kNumSums; ++k) {
    const double sum = sum_over_block(sums[k]);
    if (threadIdx.x == 0) {
      args.partials[k * gridDim.x + blockIdx.x] = sum;
    }
    __syncthreads();  // sum_over_block's memory is used again
  }
}

/// A block a sum.
__global__ void __launch_bounds__(kThreads) add_partial_sums_kernel(TrustSumsArgs args, std::int64_t num_partials) {
  const double* const partials = args.partials + blockIdx.x * num_partials;
  double total = 0;
  for (std::int64_t i = threadIdx.x; i < num_partials; i += kThreads) {
    total += partials[i];
  }
  total = sum_over_block(total);
  if (threadIdx.x == 0) {
    args.sums[blockIdx.x] += total;
  }
}

std::int64_t num_trust_blocks(std::int64_t size) {
  constexpr std::int64_t kMostBlocks = 1024;
  constexpr std::int64_t kPerBlock = std::int64_t{16} * kThreads;
  return std::clamp<std::int64_t>((size + kPerBlock - 1) / kPerBlock, 1, kMostBlocks);
}

}  // namespace

void launch_momentum(const MomentumArgs& args, const MomentumConstants& constants, cudaStream_t stream) {
  const bool is_aligned = is_aligned_for_quads(args.parameter) &&
                          are_aligned(quad_bytes(args.buffer), args.buffer.values) &&
                          are_aligned(quad_bytes(args.gradient_dtype), args.gradient);
  if (args.buffer.is_coded()) {
    dispatch(args.gradient_dtype, [&](auto gradient) {
      momentum_blocks_kernel<decltype(gradient)>
          <<<blocks_of(args.size, 4 * kQuads * kThreads), kThreads, 0, stream>>>(args, constants, is_aligned);
    });
    return;
  }
  dispatch(args.gradient_dtype, args.buffer.dtype, [&](auto gradient, auto moment) {
    using G = decltype(gradient);
    using M = decltype(moment);
    if (is_aligned) {
      momentum_kernel<G, M><<<blocks_of(args.size, 4 * kQuads * kThreads), kThreads, 0, stream>>>(args, constants);
    } else {
      momentum_scalar_kernel<G, M><<<blocks_of(args.size, kThreads), kThreads, 0, stream>>>(args, constants);
    }
  });
}

std::int64_t num_trust_partials(std::int64_t size) { return kNumSums * num_trust_blocks(size); }

void launch_trust_sums(const TrustSumsArgs& args, cudaStream_t stream) {
  const std::int64_t num_blocks = num_trust_blocks(args.size);
  dispatch(args.gradient_dtype, [&](auto type) {
    trust_sums_kernel<decltype(type)><<<static_cast<unsigned>(num_blocks), kThreads, 0, stream>>>(args);
  });
  add_partial_sums_kernel<<<kNumSums, kThreads, 0, stream>>>(args, num_blocks);
}

}  // namespace tessera::kernels::optimizer

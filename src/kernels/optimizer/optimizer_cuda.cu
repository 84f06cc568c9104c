#include "kernels/optimizer/optimizer_cuda.hpp"
#include "kernels/optimizer/quads.cuh"
#include "kernels/optimizer/scale_blocks.cuh"

#include <algorithm>

// Flat ranges. A thread works on quads: 4 neighbouring elements, 16 bytes of fp32 or 8 of bf16, so that a warp's
// accesses are whole 128-byte lines in every tensor. Ranges that are not aligned go element by element.

namespace tessera::kernels::optimizer {
namespace {

__device__ __forceinline__ void update(float& parameter, float& exp_avg, float& exp_avg_sq, float gradient,
                                       const AdamWConstants& constants) {
  const AdamWElement e = adamw_update({parameter, exp_avg, exp_avg_sq}, gradient, constants);
  parameter = e.parameter;
  exp_avg = e.exp_avg;
  exp_avg_sq = e.exp_avg_sq;
}

__device__ __forceinline__ void update_quad(float4& parameter, float4& exp_avg, float4& exp_avg_sq,
                                            const float4& gradient, const AdamWConstants& constants) {
  update(parameter.x, exp_avg.x, exp_avg_sq.x, gradient.x, constants);
  update(parameter.y, exp_avg.y, exp_avg_sq.y, gradient.y, constants);
  update(parameter.z, exp_avg.z, exp_avg_sq.z, gradient.z, constants);
  update(parameter.w, exp_avg.w, exp_avg_sq.w, gradient.w, constants);
}

template <class Gradient, class Moment>
__device__ __forceinline__ void update_one(const AdamWArgs& args, const AdamWConstants& constants, std::int64_t i) {
  Moment* const exp_avg_at = values_of<Moment>(args.exp_avg) + i;
  Moment* const exp_avg_sq_at = values_of<Moment>(args.exp_avg_sq) + i;
  float parameter = load_parameter(args.parameter, i);
  float exp_avg = to_float(*exp_avg_at);
  float exp_avg_sq = to_float(*exp_avg_sq_at);
  update(parameter, exp_avg, exp_avg_sq, to_float(static_cast<const Gradient*>(args.gradient)[i]), constants);
  store_parameter(args.parameter, i, parameter);
  const std::uint32_t random = args.bits.of(static_cast<std::uint32_t>(i));
  store_moment(exp_avg_at, exp_avg, random & 0xFFFFU);
  store_moment(exp_avg_sq_at, exp_avg_sq, random >> 16U);
}

template <class Gradient, class Moment>
__global__ void __launch_bounds__(kThreads) adamw_kernel(AdamWArgs args, AdamWConstants constants) {
  const std::int64_t num_quads = args.size / 4;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * (kThreads * kQuads) + threadIdx.x;
  float4 gradient[kQuads];
  float4 parameter[kQuads];
  float4 exp_avg[kQuads];
  float4 exp_avg_sq[kQuads];
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    const std::int64_t quad = first + q * kThreads;
    if (quad < num_quads) {
      gradient[q] = load_quad(static_cast<const Gradient*>(args.gradient) + 4 * quad);
      parameter[q] = load_parameter_quad(args.parameter, 4 * quad);
      exp_avg[q] = load_quad(values_of<Moment>(args.exp_avg) + 4 * quad);
      exp_avg_sq[q] = load_quad(values_of<Moment>(args.exp_avg_sq) + 4 * quad);
    }
  }
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    const std::int64_t quad = first + q * kThreads;
    if (quad < num_quads) {
      update_quad(parameter[q], exp_avg[q], exp_avg_sq[q], gradient[q], constants);
      store_parameter_quad(args.parameter, 4 * quad, parameter[q]);
      store_moment_quad(values_of<Moment>(args.exp_avg) + 4 * quad, exp_avg[q], random_quad(args.bits, 4 * quad, 0));
      store_moment_quad(values_of<Moment>(args.exp_avg_sq) + 4 * quad, exp_avg_sq[q],
                        random_quad(args.bits, 4 * quad, 16));
    }
  }
  const std::int64_t tail = 4 * num_quads + first;
  if (first < 4 && tail < args.size) {
    update_one<Gradient, Moment>(args, constants, tail);
  }
}

template <class Gradient, class Moment>
__global__ void __launch_bounds__(kThreads) adamw_scalar_kernel(AdamWArgs args, AdamWConstants constants) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < args.size) {
    update_one<Gradient, Moment>(args, constants, i);
  }
}

/// Of moments that are codes.
template <class Gradient>
__global__ void __launch_bounds__(kThreads)
    adamw_blocks_kernel(AdamWArgs args, AdamWConstants constants, bool is_aligned) {
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * (kThreads * kQuads) + threadIdx.x;
  float4 gradient[kQuads];
  float4 parameter[kQuads];
  float4 exp_avg[kQuads];
  float4 exp_avg_sq[kQuads];
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    const QuadPlace place(first + q * kThreads, args.size, is_aligned);
    gradient[q] = load_quad_at(static_cast<const Gradient*>(args.gradient), place);
    parameter[q] = load_parameter_quad_at(args.parameter, place);
    exp_avg[q] = decode_quad<true>(args.exp_avg, place);
    exp_avg_sq[q] = decode_quad<false>(args.exp_avg_sq, place);
  }
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    const QuadPlace place(first + q * kThreads, args.size, is_aligned);
    update_quad(parameter[q], exp_avg[q], exp_avg_sq[q], gradient[q], constants);
    store_parameter_quad_at(args.parameter, place, parameter[q]);
    encode_quad<true>(args.exp_avg, place, exp_avg[q]);
    encode_quad<false>(args.exp_avg_sq, place, exp_avg_sq[q]);
  }
}

// In fp64, as on the host.
__device__ __forceinline__ double square(float value) {
  return static_cast<double>(value) * static_cast<double>(value);
}

/// Every block takes quads in strides, element by element where `is_aligned` is false, in the same order.
template <class T>
__global__ void __launch_bounds__(kThreads) sum_of_squares_kernel(SumOfSquaresArgs args, bool is_aligned) {
  const T* const values = static_cast<const T*>(args.values);
  const std::int64_t num_quads = args.size / 4;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  double total = 0;
#pragma unroll 4
  for (std::int64_t quad = first; quad < num_quads; quad += stride) {
    const T* const v = values + 4 * quad;
    const float4 q =
        is_aligned ? load_quad(v) : make_float4(to_float(v[0]), to_float(v[1]), to_float(v[2]), to_float(v[3]));
    total += (square(q.x) + square(q.y)) + (square(q.z) + square(q.w));
  }
  const std::int64_t tail = 4 * num_quads + first;
  if (first < 4 && tail < args.size) {
    total += square(to_float(values[tail]));
  }
  total = sum_over_block(total);
  if (threadIdx.x == 0) {
    args.partials[blockIdx.x] = total;
  }
}

__global__ void __launch_bounds__(kThreads) add_partials_kernel(SumOfSquaresArgs args, std::int64_t num_partials) {
  double total = 0;
  for (std::int64_t i = threadIdx.x; i < num_partials; i += kThreads) {
    total += args.partials[i];
  }
  total = sum_over_block(total);
  if (threadIdx.x == 0) {
    *args.total += total;
  }
}

// What crosses the bus to pinned host memory in so few blocks goes as fast as in thousands (an H200: 42 GB/s each way
// at once), and leaves the other multiprocessors to the computation beside it.
constexpr unsigned kBusBlocks = 16;

// Blocks for the tiles of a sum that may lie there.
unsigned num_accumulate_blocks(std::int64_t size, const void* destination) {
  const unsigned num_tiles = blocks_of(size, 4 * kQuads * kThreads);
  cudaPointerAttributes attributes{};
  const bool is_on_host =
      cudaPointerGetAttributes(&attributes, destination) == cudaSuccess && attributes.type == cudaMemoryTypeHost;
  return is_on_host ? std::min(num_tiles, kBusBlocks) : num_tiles;
}

/// A block takes tiles in strides.
template <class T>
__global__ void __launch_bounds__(kThreads) accumulate_kernel(AccumulateArgs args) {
  const T* const source = static_cast<const T*>(args.source);
  const std::int64_t num_quads = args.size / 4;
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * (kThreads * kQuads) + threadIdx.x;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * (kThreads * kQuads);
  for (std::int64_t first = begin; first < num_quads; first += stride) {
    float4 addend[kQuads];
    float4 sum[kQuads];
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const std::int64_t quad = first + q * kThreads;
      if (quad < num_quads) {
        addend[q] = load_quad(source + 4 * quad);
        sum[q] = load_quad(args.destination + 4 * quad);
      }
    }
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const std::int64_t quad = first + q * kThreads;
      if (quad < num_quads) {
        store_quad(args.destination + 4 * quad,
                   {sum[q].x + addend[q].x, sum[q].y + addend[q].y, sum[q].z + addend[q].z, sum[q].w + addend[q].w});
      }
    }
  }
  const std::int64_t tail = 4 * num_quads + begin;
  if (begin < 4 && tail < args.size) {
    args.destination[tail] += to_float(source[tail]);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) accumulate_scalar_kernel(AccumulateArgs args) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < args.size) {
    args.destination[i] += to_float(static_cast<const T*>(args.source)[i]);
  }
}

}  // namespace

void launch_adamw(const AdamWArgs& args, const AdamWConstants& constants, cudaStream_t stream) {
  const bool is_aligned = is_aligned_for_quads(args.parameter) &&
                          are_aligned(quad_bytes(args.exp_avg), args.exp_avg.values, args.exp_avg_sq.values) &&
                          are_aligned(quad_bytes(args.gradient_dtype), args.gradient);
  if (args.exp_avg.is_coded()) {
    dispatch(args.gradient_dtype, [&](auto gradient) {
      adamw_blocks_kernel<decltype(gradient)>
          <<<blocks_of(args.size, 4 * kQuads * kThreads), kThreads, 0, stream>>>(args, constants, is_aligned);
    });
    return;
  }
  dispatch(args.gradient_dtype, args.exp_avg.dtype, [&](auto gradient, auto moment) {
    using G = decltype(gradient);
    using M = decltype(moment);
    if (is_aligned) {
      adamw_kernel<G, M><<<blocks_of(args.size, 4 * kQuads * kThreads), kThreads, 0, stream>>>(args, constants);
    } else {
      adamw_scalar_kernel<G, M><<<blocks_of(args.size, kThreads), kThreads, 0, stream>>>(args, constants);
    }
  });
}

std::int64_t num_sum_partials(std::int64_t size) {
  constexpr std::int64_t kMaxPartials = 2048;
  constexpr std::int64_t kPerBlock = std::int64_t{4} * 8 * kThreads;
  return std::clamp<std::int64_t>((size + kPerBlock - 1) / kPerBlock, 1, kMaxPartials);
}

void launch_sum_of_squares(const SumOfSquaresArgs& args, cudaStream_t stream) {
  const std::int64_t num_partials = num_sum_partials(args.size);
  const bool is_aligned = are_aligned(quad_bytes(args.dtype), args.values);
  dispatch(args.dtype, [&](auto type) {
    sum_of_squares_kernel<decltype(type)>
        <<<static_cast<unsigned>(num_partials), kThreads, 0, stream>>>(args, is_aligned);
  });
  add_partials_kernel<<<1, kThreads, 0, stream>>>(args, num_partials);
}

void launch_accumulate(const AccumulateArgs& args, cudaStream_t stream) {
  const bool is_aligned = are_aligned(16, args.destination) && are_aligned(quad_bytes(args.source_dtype), args.source);
  dispatch(args.source_dtype, [&](auto type) {
    using T = decltype(type);
    if (is_aligned) {
      accumulate_kernel<T><<<num_accumulate_blocks(args.size, args.destination), kThreads, 0, stream>>>(args);
    } else {
      accumulate_scalar_kernel<T><<<blocks_of(args.size, kThreads), kThreads, 0, stream>>>(args);
    }
  });
}

}  // namespace tessera::kernels::optimizer

#pragma once

#include "kernels/optimizer/quads.cuh"
#include "tessera/core/scale_blocks.hpp"

// Moments that are kept as codes: a thread has quads, and 16 neighbouring lanes have a block between them.

namespace tessera::kernels::optimizer {

constexpr int kBlockLanes = core::kScaleBlock / 4;
static_assert(kWarp % kBlockLanes == 0);

/// A thread's quad: `count` elements of it, 4 but at the end of a range and behind it, from `first` on. Where the range
/// is aligned, whole ones are read and written as vectors.
struct QuadPlace {
  std::int64_t first;
  int count;
  bool is_vector;

  __device__ __forceinline__ QuadPlace(std::int64_t quad, std::int64_t size, bool is_aligned)
      : first(4 * quad),
        count(static_cast<int>(size - first >= 4 ? 4
                               : size > first    ? size - first
                                                 : 0)),
        is_vector(is_aligned && count == 4) {}
};

/// load(i) for each of the quad's elements, and 0 in place of those that are not there.
template <class Load>
__device__ __forceinline__ float4 load_elements(const QuadPlace& place, const Load& load) {
  return {place.count > 0 ? load(place.first) : 0.0F, place.count > 1 ? load(place.first + 1) : 0.0F,
          place.count > 2 ? load(place.first + 2) : 0.0F, place.count > 3 ? load(place.first + 3) : 0.0F};
}

template <class T>
__device__ __forceinline__ float4 load_quad_at(const T* values, const QuadPlace& place) {
  if (place.is_vector) {
    return load_quad(values + place.first);
  }
  return load_elements(place, [&](std::int64_t i) { return to_float(values[i]); });
}

__device__ __forceinline__ float4 load_parameter_quad_at(const ParameterPointers& parameter, const QuadPlace& place) {
  if (place.is_vector) {
    return load_parameter_quad(parameter, place.first);
  }
  return load_elements(place, [&](std::int64_t i) { return load_parameter(parameter, i); });
}

__device__ __forceinline__ void store_parameter_quad_at(const ParameterPointers& parameter, const QuadPlace& place,
                                                        const float4& quad) {
  if (place.is_vector) {
    store_parameter_quad(parameter, place.first, quad);
    return;
  }
  const float values[4] = {quad.x, quad.y, quad.z, quad.w};
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    if (k < place.count) {
      store_parameter(parameter, place.first + k, values[k]);
    }
  }
}

template <bool kSigned>
__device__ __forceinline__ float4 decode_quad(const MomentPointers& moment, const QuadPlace& place) {
  using Map = core::DynamicMap<kSigned>;
  if (place.count == 0) {
    return {0.0F, 0.0F, 0.0F, 0.0F};
  }
  const std::uint8_t* const codes = values_of<std::uint8_t>(moment);
  const float scale = moment.scales[place.first / core::kScaleBlock];
  const auto decode = [&](std::uint8_t code) { return core::rounded_product(Map::share_of(code), scale); };
  if (place.is_vector) {
    const uchar4 quad = *reinterpret_cast<const uchar4*>(codes + place.first);
    return {decode(quad.x), decode(quad.y), decode(quad.z), decode(quad.w)};
  }
  return load_elements(place, [&](std::int64_t i) { return decode(codes[i]); });
}

/// The greatest over the lanes that share a block, in each of them.
__device__ __forceinline__ std::uint32_t greatest_of_block(std::uint32_t value) {
#pragma unroll
  for (int offset = kBlockLanes / 2; offset > 0; offset /= 2) {
    value = max(value, __shfl_xor_sync(kAllLanes, value, offset));
  }
  return value;
}

/// Every lane of the warp must call it. Elements that are not there are 0.
template <bool kSigned>
__device__ __forceinline__ void encode_quad(const MomentPointers& moment, const QuadPlace& place, const float4& quad) {
  using Map = core::DynamicMap<kSigned>;
  const auto order = [](float value) { return core::size_order(__float_as_uint(value)); };
  const std::uint32_t greatest = max(max(order(quad.x), order(quad.y)), max(order(quad.z), order(quad.w)));
  const float scale = __uint_as_float(core::scale_bits(greatest_of_block(greatest)));
  const float factor = core::share_factor(scale);
  const auto encode = [&](float value) { return Map::encode(core::rounded_product(value, factor)); };
  const uchar4 codes = make_uchar4(encode(quad.x), encode(quad.y), encode(quad.z), encode(quad.w));
  std::uint8_t* const at = values_of<std::uint8_t>(moment) + place.first;
  if (place.is_vector) {
    *reinterpret_cast<uchar4*>(at) = codes;
  } else {
    const std::uint8_t bytes[4] = {codes.x, codes.y, codes.z, codes.w};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (k < place.count) {
        at[k] = bytes[k];
      }
    }
  }
  if (threadIdx.x % kBlockLanes == 0 && place.count > 0) {
    moment.scales[place.first / core::kScaleBlock] = scale;
  }
}

}  // namespace tessera::kernels::optimizer

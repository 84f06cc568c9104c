#pragma once

#include "tessera/core/dynamic_map.hpp"
#include "tessera/core/host_device.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace tessera::core {

/// Numbers in 8 bits (DynamicMap) come in blocks of so many, which share a scale: the greatest of them, with its sign,
/// so that it is kept exactly. Encoding what was decoded gives the same codes and scales.
///
/// A block with something that is no finite number has the scale NaN, and is NaN as a whole. One without anything of
/// 2^-100 is kept as zeros: its codes could stand for numbers that fp32 has too few bits for.
constexpr std::int64_t kScaleBlock = 64;

/// The last block may be a part.
constexpr std::int64_t num_scale_blocks(std::int64_t num_elements) {
  return (num_elements + kScaleBlock - 1) / kScaleBlock;
}

/// Of an fp32 number with these bits: what is greater for the greater of two numbers, of equal ones for the positive
/// one, and greatest for what is not finite.
TESSERA_HOST_DEVICE constexpr std::uint32_t size_order(std::uint32_t bits) { return (2 * bits + (bits >> 31U)) ^ 1U; }

/// The bits of the scale, from the greatest size_order() in the block.
TESSERA_HOST_DEVICE constexpr std::uint32_t scale_bits(std::uint32_t greatest) {
  constexpr std::uint32_t kInfinity = 0x7F800000U;
  constexpr std::uint32_t kNaN = 0x7FC00000U;
  constexpr std::uint32_t kLeast = (127U - 100U) << 23U;
  const std::uint32_t size = greatest >> 1U;
  const std::uint32_t sign = (greatest & 1U) ^ 1U;
  return size >= kInfinity ? kNaN : size < kLeast ? 0U : (sign << 31U | size);
}

/// A number times this is its share of the scale.
TESSERA_ELEMENT_FUNCTION float share_factor(float scale) { return scale != 0 ? 1 / scale : 0.0F; }

/// DynamicMap::share_of() by code: on a CPU looking one up takes half the time of computing eight at once.
template <bool kSigned>
constexpr std::array<float, 256> all_shares() {
  std::array<float, 256> shares{};
  for (std::size_t code = 0; code < shares.size(); ++code) {
    shares[code] = DynamicMap<kSigned>::share_of(static_cast<std::uint8_t>(code));
  }
  return shares;
}
template <bool kSigned>
inline constexpr std::array<float, 256> kShares = all_shares<kSigned>();

/// The numbers of a block of `size` elements.
template <bool kSigned>
[[gnu::always_inline]] inline void decode_block(const std::uint8_t* codes, float scale, std::int64_t size,
                                                float* values) {
  for (std::int64_t i = 0; i < size; ++i) {
    values[i] = kShares<kSigned>[codes[i]] * scale;
  }
}

/// Stores their codes, and returns the scale.
template <bool kSigned>
[[gnu::always_inline]] inline float encode_block(const float* values, std::int64_t size, std::uint8_t* codes) {
  std::uint32_t greatest = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    const std::uint32_t order = size_order(std::bit_cast<std::uint32_t>(values[i]));
    greatest = order > greatest ? order : greatest;
  }
  const auto scale = std::bit_cast<float>(scale_bits(greatest));
  const float factor = share_factor(scale);
  for (std::int64_t i = 0; i < size; ++i) {
    codes[i] = DynamicMap<kSigned>::encode(values[i] * factor);
  }
  return scale;
}

/// The same of all blocks of `count` elements, whose first one is the first of a block.
void decode_blocks(const std::uint8_t* codes, const float* scales, bool is_signed, std::int64_t count, float* values);
void encode_blocks(const float* values, bool is_signed, std::int64_t count, std::uint8_t* codes, float* scales);

}  // namespace tessera::core

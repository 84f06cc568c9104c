#include "tessera/core/dtype.hpp"

#include <bit>

namespace tessera::core {

float bf16_to_float(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U); }

std::uint16_t float_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (value != value) {
    return static_cast<std::uint16_t>((bits >> 16U) | 0x40U);  // quiet, so that dropping low bits cannot make an infinity
  }
  const std::uint32_t round_to_even = 0x7FFFU + ((bits >> 16U) & 1U);
  return static_cast<std::uint16_t>((bits + round_to_even) >> 16U);
}

}  // namespace tessera::core

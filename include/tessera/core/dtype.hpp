#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tessera::core {

/// Element types that cross module boundaries. The values are stored in no file; names are.
enum class DType : std::uint8_t { kFloat32, kBFloat16, kFloat16 };

/// Bytes of one element.
constexpr std::size_t size_of(DType dtype) { return dtype == DType::kFloat32 ? 4 : 2; }

/// "fp32", "bf16" or "fp16", as on the command line.
constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "fp32";
    case DType::kBFloat16:
      return "bf16";
    case DType::kFloat16:
      return "fp16";
  }
  return "?";
}

/// fp32 of the bfloat16 with these bits (exact).
constexpr float bf16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

/// Bits of the bfloat16 nearest to `value`, ties to even; NaN stays NaN.
constexpr std::uint16_t float_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t round_to_even = 0x7FFFU + ((bits >> 16U) & 1U);
  const auto rounded = static_cast<std::uint16_t>((bits + round_to_even) >> 16U);
  const auto quiet_nan = static_cast<std::uint16_t>((bits >> 16U) | 0x40U);  // rounding could make it an infinity
  return value != value ? quiet_nan : rounded;
}

}  // namespace tessera::core

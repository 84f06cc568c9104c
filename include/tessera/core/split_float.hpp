#pragma once

#include "tessera/core/host_device.hpp"

#include <cstdint>

namespace tessera::core {

/// An fp32 number in two halves: a bfloat16 to compute with, and the rest. Two bytes beside a bf16 weight then hold
/// what an fp32 master of it would take four for.
struct SplitFloat {
  std::uint16_t high;  ///< bits of the bfloat16 nearest to the number, ties away from zero
  std::uint16_t low;   ///< the number's lower 16 bits, whose top bit says that `high` was rounded up
};

/// Exact: join_float gives the same bits again. Only NaNs become one NaN, as rounding up could carry into their sign.
TESSERA_HOST_DEVICE constexpr SplitFloat split_float(std::uint32_t bits) {
  const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
  const std::uint32_t number = is_nan ? 0x7FC00000U : bits;
  return {static_cast<std::uint16_t>((number + 0x8000U) >> 16U), static_cast<std::uint16_t>(number)};
}

/// The bits of the fp32 number.
TESSERA_HOST_DEVICE constexpr std::uint32_t join_float(SplitFloat halves) {
  const std::uint32_t upper = halves.high - (static_cast<std::uint32_t>(halves.low) >> 15U);
  return (upper << 16U) | halves.low;
}

}  // namespace tessera::core

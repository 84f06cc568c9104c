#pragma once

#include "tessera/core/host_device.hpp"

#include <cstdint>

// How fp32 becomes bf16 without a bias: up or down with the probability that its distance from each gives. No ATen
// here: nvcc compiles it.

namespace tessera::kernels::optimizer {

/// A bijection of 32 bits that looks random (Wellons 2018, "lowbias32").
TESSERA_HOST_DEVICE constexpr std::uint32_t scramble(std::uint32_t x) {
  x ^= x >> 16U;
  x *= 0x7FEB352DU;
  x ^= x >> 15U;
  x *= 0x846CA68BU;
  x ^= x >> 16U;
  return x;
}

/// The random bits of one step: a function of the step's number and of an element's index alone, so that ranks,
/// threads, devices and resumed runs agree on them. Counters, as the index has 64 bits and the loops count in 32: `key`
/// is of the step and the upper half of the first element's index, `next_key` of those behind it whose upper half is
/// one more.
struct RoundingBits {
  std::uint32_t first;  ///< lower half of the first element's index
  std::uint32_t key;
  std::uint32_t next_key;

  /// Of the range's element i: 32 bits.
  [[nodiscard]] TESSERA_HOST_DEVICE constexpr std::uint32_t of(std::uint32_t i) const {
    const std::uint32_t index = first + i;
    return scramble(index ^ (index >= first ? key : next_key));
  }
};

/// Of a range of less than 2^32 elements.
constexpr RoundingBits rounding_bits(std::int64_t step, std::int64_t first_element) {
  const auto first = static_cast<std::uint64_t>(first_element);
  const auto number = static_cast<std::uint64_t>(step);
  const auto key_of = [number](std::uint64_t upper) {
    std::uint64_t z = (number + (upper << 48U)) * 0x9E3779B97F4A7C15U;  // splitmix64
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return static_cast<std::uint32_t>(z >> 32U);
  };
  return {static_cast<std::uint32_t>(first), key_of(first >> 32U), key_of((first >> 32U) + 1)};
}

/// The bits of a bfloat16 next to the fp32 number with `bits`: its upper half, or one more with the probability of its
/// lower half / 2^16. `random` has 16 random bits. NaN stays NaN.
TESSERA_HOST_DEVICE constexpr std::uint16_t round_stochastically(std::uint32_t bits, std::uint32_t random) {
  const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
  return static_cast<std::uint16_t>(((is_nan ? 0x7FC00000U : bits + random) >> 16U));
}

}  // namespace tessera::kernels::optimizer

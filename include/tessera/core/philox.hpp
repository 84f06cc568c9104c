#pragma once

#include "tessera/core/host_device.hpp"

#include <cstdint>

namespace tessera::core {

struct Philox4 {
  std::uint32_t value[4];
};

/// Four random words that are a pure function of key and counter: Philox4x32-10, Salmon et al., "Parallel random
/// numbers: as easy as 1, 2, 3", SC 2011. The state of every random stream of the program is therefore a few integers.
TESSERA_HOST_DEVICE constexpr Philox4 philox(std::uint64_t key, std::uint64_t counter_low, std::uint64_t counter_high) {
  auto c0 = static_cast<std::uint32_t>(counter_low);
  auto c1 = static_cast<std::uint32_t>(counter_low >> 32U);
  auto c2 = static_cast<std::uint32_t>(counter_high);
  auto c3 = static_cast<std::uint32_t>(counter_high >> 32U);
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32U);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * c0;
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57U} * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32U) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32U) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return {{c0, c1, c2, c3}};
}

/// Uniform in [0, 1) with 24 random bits: exact in fp32.
TESSERA_HOST_DEVICE constexpr float uniform_float(std::uint32_t word) {
  return static_cast<float>(word >> 8U) * 0x1p-24F;
}

/// 64-bit FNV-1a: turns a name into the key of its random stream.
constexpr std::uint64_t hash_name(const char* text, std::uint64_t size) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (std::uint64_t i = 0; i < size; ++i) {
    hash = (hash ^ static_cast<unsigned char>(text[i])) * 0x100000001B3U;
  }
  return hash;
}

}  // namespace tessera::core

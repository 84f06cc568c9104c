#pragma once

#include "tessera/core/philox.hpp"

#include <cstdint>
#include <string_view>

namespace tessera::data {

/// Random words for one purpose, each a pure function of the seed, the purpose and two counters.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::string_view purpose) {
    const core::Philox4 words = core::philox(seed, core::hash_name(purpose.data(), purpose.size()), 0);
    key_ = (std::uint64_t{words.value[1]} << 32U) | words.value[0];
  }

  [[nodiscard]] core::Philox4 at(std::uint64_t low, std::uint64_t high) const { return core::philox(key_, low, high); }

 private:
  std::uint64_t key_ = 0;
};

/// A word, uniform over all of them, as a number below `limit`.
constexpr std::uint64_t scale_to(std::uint64_t word, std::uint64_t limit) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((static_cast<Wide>(word) * limit) >> 64U);
}
constexpr std::uint32_t scale_to(std::uint32_t word, std::uint32_t limit) {
  return static_cast<std::uint32_t>((std::uint64_t{word} * limit) >> 32U);
}

/// A word, uniform over all of them, as a number in [low, high).
constexpr double scale_to(std::uint32_t word, double low, double high) { return low + (high - low) * (word * 0x1p-32); }

}  // namespace tessera::data

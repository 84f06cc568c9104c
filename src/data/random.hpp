#pragma once

#include "tessera/core/philox.hpp"

#include <cmath>
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

/// One random number after the other for one purpose of one thing, which two counters name: its augmentation, say.
class RandomSequence {
 public:
  /// `low` below 2^64, `high` below 2^48.
  RandomSequence(const RandomStream& stream, std::uint64_t low, std::uint64_t high)
      : stream_(stream), low_(low), high_(high << 16U) {}

  /// All 32 bits random.
  std::uint32_t word() {
    if (used_ == 4) {
      words_ = stream_.at(low_, high_++);
      used_ = 0;
    }
    return words_.value[used_++];
  }
  /// In [low, high).
  double uniform(double low, double high) { return scale_to(word(), low, high); }
  /// True with this probability.
  bool happens(double probability) { return uniform(0, 1) < probability; }
  /// In [0, limit).
  std::int64_t below(std::int64_t limit) { return scale_to(word(), static_cast<std::uint32_t>(limit)); }
  /// In (0, 1), with all the bits that a double has there.
  double open_unit() {
    const std::uint64_t high = word();
    return (static_cast<double>(((high << 32U) | word()) >> 12U) + 0.5) * 0x1p-52;
  }
  /// By Box-Muller.
  double normal(double mean, double std) {
    constexpr double kTwoPi = 6.283185307179586476925;
    const double radius = std::sqrt(-2 * std::log(open_unit()));
    return mean + std * radius * std::cos(kTwoPi * open_unit());
  }

 private:
  RandomStream stream_;
  std::uint64_t low_;
  std::uint64_t high_;
  core::Philox4 words_{};
  unsigned used_ = 4;
};

}  // namespace tessera::data

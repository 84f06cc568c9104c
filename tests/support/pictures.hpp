#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tessera::test {

/// A byte of noise: a hash of its index.
inline std::uint8_t noise_byte(std::uint32_t index) {
  std::uint32_t hashed = index * 2654435761U;
  hashed ^= hashed >> 15U;
  hashed *= 2246822519U;
  return static_cast<std::uint8_t>(hashed >> 24U);
}

inline std::vector<std::uint8_t> noise_bytes(std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = noise_byte(static_cast<std::uint32_t>(i));
  }
  return bytes;
}

/// A picture of tests/numerics/make_augment_fixtures.py in three planes: "noise", "wave", "dim" or "flat".
inline std::vector<std::uint8_t> made_up_picture(const std::string& kind, std::uint32_t side) {
  std::vector<std::uint8_t> pixels;
  if (kind == "noise") {
    return noise_bytes(std::size_t{3} * side * side);
  }
  constexpr std::uint8_t kFlat[] = {77, 0, 255};
  for (std::uint32_t c = 0; c < 3; ++c) {
    for (std::uint32_t y = 0; y < side; ++y) {
      for (std::uint32_t x = 0; x < side; ++x) {
        const std::uint32_t turn = (x * (2 + c) + y * (5 - c) + x * y / 37) % 510;
        const std::uint32_t wave = turn <= 255 ? turn : 510 - turn;
        pixels.push_back(kind == "flat" ? kFlat[c]
                                        : static_cast<std::uint8_t>(kind == "dim" ? 60 + wave * 120 / 255 : wave));
      }
    }
  }
  return pixels;
}

}  // namespace tessera::test

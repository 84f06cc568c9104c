#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tessera::data {

/// A square picture in three planes of side x side bytes, which is changed in place.
struct Picture {
  std::uint8_t* pixels = nullptr;
  std::int32_t side = 0;

  [[nodiscard]] std::size_t plane_bytes() const {
    return static_cast<std::size_t>(side) * static_cast<std::size_t>(side);
  }
  [[nodiscard]] std::uint8_t* plane(std::size_t channel) const { return pixels + channel * plane_bytes(); }
};

using Color = std::array<std::uint8_t, 3>;

/// Memory that changes of pictures need; kept from picture to picture.
using Scratch = std::vector<std::uint8_t>;

}  // namespace tessera::data

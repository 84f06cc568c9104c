#pragma once

#include "data/picture.hpp"

#include <cstdint>

// Blends of a picture with what it is without colour or sharpness, as Pillow's ImageEnhance makes them, and its blur.

namespace tessera::data {

/// Pillow's blend of one byte: from `base` to `byte` and, where factor is above 1, beyond; cut off at the ends.
inline std::uint8_t blend(std::uint8_t base, std::uint8_t byte, float factor) {
  const float value =
      static_cast<float>(base) + factor * static_cast<float>(static_cast<int>(byte) - static_cast<int>(base));
  return value <= 0.0F ? std::uint8_t{0} : value >= 255.0F ? std::uint8_t{255} : static_cast<std::uint8_t>(value);
}

/// Pillow's convert("L") of one pixel.
inline std::uint8_t grey_of(std::uint32_t red, std::uint32_t green, std::uint32_t blue) {
  return static_cast<std::uint8_t>((red * 19595U + green * 38470U + blue * 7471U + 0x8000U) >> 16U);
}

void change_color(const Picture& picture, float factor);
/// Blends with a smoothed picture.
void change_sharpness(const Picture& picture, float factor, Scratch& scratch);
/// Pillow's GaussianBlur: three box blurs in each direction (Gwosdek et al. 2011, "Theoretical foundations of Gaussian
/// convolution by extended box filtering").
void gaussian_blur(const Picture& picture, float radius, Scratch& scratch);

}  // namespace tessera::data

#pragma once

#include "data/picture.hpp"

#include <cstdint>

// Changes by which each byte of a channel becomes another: Pillow's ImageOps, and the two enhancements that blend with
// one colour.

namespace tessera::data {

/// Stretches each channel to the whole range.
void auto_contrast(const Picture& picture);
/// Evens out each channel's histogram.
void equalize(const Picture& picture);
/// Keeps this many of the highest bits of each byte: none below 0, all from 8 on.
void posterize(const Picture& picture, std::int32_t bits);
/// Inverts the bytes from `threshold` on.
void solarize(const Picture& picture, std::int32_t threshold);
/// Adds to the bytes below 128.
void solarize_add(const Picture& picture, std::int32_t added);
/// Blends with black.
void change_brightness(const Picture& picture, float factor);
/// Blends with the mean grey.
void change_contrast(const Picture& picture, float factor);

}  // namespace tessera::data

#pragma once

#include "tessera/data/dataset.hpp"

#include <cstdint>
#include <string>

namespace tessera::data {

/// The bytes of a PNG file of the image, made smaller by averaging areas where its longer side is above `max_side`.
/// Throws core::Error where libpng fails.
std::string thumbnail_png(const DecodedImage& image, std::int32_t max_side);

}  // namespace tessera::data

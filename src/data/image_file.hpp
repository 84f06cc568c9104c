#pragma once

#include "tessera/data/dataset.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tessera::data {

/// Decodes a JPEG or PNG file, told apart by their first bytes, into `pixels`: the bytes that Pillow's
/// Image.open(file).convert("RGB") has, with grey left in one channel.
///
/// So alpha is dropped, 16-bit colour keeps its high bytes, 16-bit grey is cut off at 255, and EXIF orientation, gamma
/// and colour profiles are ignored. Throws core::Error that names `name` where the file is neither, truncated, or has
/// more pixels than Pillow would take.
DecodedImage decode_image(std::span<const std::uint8_t> file, const std::string& name,
                          std::vector<std::uint8_t>& pixels);

DecodedImage decode_jpeg(std::span<const std::uint8_t> file, const std::string& name,
                         std::vector<std::uint8_t>& pixels);
DecodedImage decode_png(std::span<const std::uint8_t> file, const std::string& name, std::vector<std::uint8_t>& pixels);

/// Throws core::Error unless an image of this size is one to decode. Returns its pixels.
std::int64_t checked_num_pixels(std::int64_t height, std::int64_t width, const std::string& name);

}  // namespace tessera::data

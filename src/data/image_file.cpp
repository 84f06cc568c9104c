#include "data/image_file.hpp"

#include "tessera/core/error.hpp"

#include <algorithm>
#include <array>

namespace tessera::data {

namespace {

bool begins_with(std::span<const std::uint8_t> file, std::span<const std::uint8_t> magic) {
  return file.size() >= magic.size() && std::equal(magic.begin(), magic.end(), file.begin());
}

}  // namespace

DecodedImage decode_image(std::span<const std::uint8_t> file, const std::string& name,
                          std::vector<std::uint8_t>& pixels) {
  constexpr std::array<std::uint8_t, 3> kJpeg{0xFF, 0xD8, 0xFF};
  constexpr std::array<std::uint8_t, 8> kPng{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  if (begins_with(file, kJpeg)) {
    return decode_jpeg(file, name, pixels);
  }
  if (begins_with(file, kPng)) {
    return decode_png(file, name, pixels);
  }
  core::fail("data", "{} ({} bytes) is neither a JPEG nor a PNG file; mend or remove it", name, file.size());
}

std::int64_t checked_num_pixels(std::int64_t height, std::int64_t width, const std::string& name) {
  constexpr std::int64_t kMostPixels = 178'956'970;  // where Pillow speaks of a decompression bomb
  core::require(height > 0 && width > 0 && height * width <= kMostPixels, "data",
                "{} has {}x{} pixels, more than the {} that are taken; shrink or remove it", name, height, width,
                kMostPixels);
  return height * width;
}

}  // namespace tessera::data

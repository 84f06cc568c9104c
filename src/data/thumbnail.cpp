#include "tessera/data/thumbnail.hpp"

#include "tessera/core/error.hpp"

#include <png.h>

#include <algorithm>

namespace tessera::data {
namespace {

// Channels interleaved.
struct Pixels {
  std::int32_t height = 0;
  std::int32_t width = 0;
  std::int32_t channels = 0;
  std::vector<std::uint8_t> bytes;
};

std::size_t place_of(const DecodedImage& image, std::int64_t row, std::int64_t column, std::int64_t channel) {
  const std::int64_t place = image.planar ? (channel * image.height + row) * image.width + column
                                          : (row * image.width + column) * image.channels + channel;
  return static_cast<std::size_t>(place);
}

// The mean of the pixels [top, bottom) x [left, right).
std::uint8_t mean_of(const DecodedImage& image, std::int64_t top, std::int64_t bottom, std::int64_t left,
                     std::int64_t right, std::int64_t channel) {
  std::int64_t sum = 0;
  for (std::int64_t row = top; row < bottom; ++row) {
    for (std::int64_t column = left; column < right; ++column) {
      sum += image.bytes[place_of(image, row, column, channel)];
    }
  }
  const std::int64_t count = (bottom - top) * (right - left);
  return static_cast<std::uint8_t>((sum + count / 2) / count);
}

// At least one row or column of the image for each of the thumbnail's.
Pixels made_smaller(const DecodedImage& image, std::int32_t max_side) {
  const std::int64_t longer = std::max(image.height, image.width);
  const std::int64_t side = std::min<std::int64_t>(longer, max_side);
  Pixels small{static_cast<std::int32_t>(std::max<std::int64_t>(1, image.height * side / longer)),
               static_cast<std::int32_t>(std::max<std::int64_t>(1, image.width * side / longer)),
               image.channels,
               {}};
  for (std::int64_t row = 0; row < small.height; ++row) {
    for (std::int64_t column = 0; column < small.width; ++column) {
      for (std::int64_t channel = 0; channel < small.channels; ++channel) {
        small.bytes.push_back(mean_of(image, row * image.height / small.height, (row + 1) * image.height / small.height,
                                      column * image.width / small.width, (column + 1) * image.width / small.width,
                                      channel));
      }
    }
  }
  return small;
}

}  // namespace

std::string thumbnail_png(const DecodedImage& image, std::int32_t max_side) {
  const Pixels small = made_smaller(image, max_side);
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(small.width);
  header.height = static_cast<png_uint_32>(small.height);
  header.format = small.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  std::string file(PNG_IMAGE_PNG_SIZE_MAX(header), '\0');
  png_alloc_size_t size = file.size();
  const int done = png_image_write_to_memory(&header, file.data(), &size, 0, small.bytes.data(), 0, nullptr);
  core::require(done != 0, "data", "libpng cannot write a thumbnail: {}", header.message);
  file.resize(size);
  return file;
}

}  // namespace tessera::data

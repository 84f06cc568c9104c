#include "data/image_file.hpp"
#include "tessera/data/thumbnail.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace tessera::data {
namespace {

using Bytes = std::vector<std::uint8_t>;

DecodedImage decoded(const std::string& png, Bytes& pixels) {
  const std::vector<std::uint8_t> file(png.begin(), png.end());
  return decode_png(file, "thumbnail", pixels);
}

TEST(Thumbnail, ASmallImageIsKeptAsItIs) {
  const Bytes grey{0, 50, 100, 150, 200, 250};
  Bytes pixels;
  const DecodedImage image = decoded(thumbnail_png({grey, 2, 3, 1, false}, 8), pixels);
  EXPECT_EQ(image.height, 2);
  EXPECT_EQ(image.width, 3);
  EXPECT_EQ(image.channels, 1);
  EXPECT_EQ(pixels, grey);
}

TEST(Thumbnail, PlanesAreInterleaved) {
  const Bytes planes{1, 2, 3, 4, 5, 6};
  Bytes pixels;
  const DecodedImage image = decoded(thumbnail_png({planes, 1, 2, 3, true}, 8), pixels);
  EXPECT_EQ(image.channels, 3);
  EXPECT_EQ(pixels, (Bytes{1, 3, 5, 2, 4, 6}));
}

TEST(Thumbnail, ALargeImageIsAveraged) {
  // 2 x 4 to 1 x 2: squares of four pixels.
  const Bytes grey{0, 10, 100, 100, 20, 30, 100, 103};
  Bytes pixels;
  const DecodedImage image = decoded(thumbnail_png({grey, 2, 4, 1, false}, 2), pixels);
  EXPECT_EQ(image.height, 1);
  EXPECT_EQ(image.width, 2);
  EXPECT_EQ(pixels, (Bytes{15, 101}));
}

TEST(Thumbnail, OddSizesLoseNoPixel) {
  const Bytes grey(5 * 7, 77);
  Bytes pixels;
  const DecodedImage image = decoded(thumbnail_png({grey, 5, 7, 1, false}, 3), pixels);
  EXPECT_EQ(image.height, 2);
  EXPECT_EQ(image.width, 3);
  EXPECT_EQ(pixels, Bytes(6, 77));
}

}  // namespace
}  // namespace tessera::data

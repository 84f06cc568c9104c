#include "data/augment.hpp"

#include "support/counts.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

// Against counts that torchvision's own sampler gave: see tests/numerics/make_image_fixtures.py.

namespace tessera::data {
namespace {

using test::kolmogorov_smirnov;
using test::read_counts;

TEST(RandomResizedCrop, IsDistributedAsTorchvisions) {
  std::ifstream file(TESSERA_TEST_DATA "/image_transform/crops.txt");
  std::int32_t height = 0;
  std::int32_t width = 0;
  double min_area = 0;
  std::int64_t draws = 0;
  int num_cases = 0;
  while (file >> height >> width >> min_area >> draws) {
    SCOPED_TRACE(std::to_string(height) + "x" + std::to_string(width));
    file.ignore();
    const std::vector<std::vector<double>> expected = {read_counts(file), read_counts(file), read_counts(file),
                                                       read_counts(file)};
    std::vector<std::vector<double>> counts;
    for (const auto& row : expected) {
      counts.emplace_back(row.size());
    }
    for (std::int64_t i = 0; i < draws; ++i) {
      const Box box = random_resized_crop(height, width, min_area, {.seed = 1, .epoch = i % 7, .index = i});
      ASSERT_GE(box.top, 0);
      ASSERT_GE(box.left, 0);
      ASSERT_LE(box.top + box.height, height);
      ASSERT_LE(box.left + box.width, width);
      ++counts[0][static_cast<std::size_t>(box.top)];
      ++counts[1][static_cast<std::size_t>(box.left)];
      ++counts[2][static_cast<std::size_t>(box.height)];
      ++counts[3][static_cast<std::size_t>(box.width)];
    }
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_LT(kolmogorov_smirnov(counts[i], expected[i]), test::kolmogorov_smirnov_bound(counts[i], expected[i]))
          << "top, left, height, width: " << i;
    }
    ++num_cases;
  }
  EXPECT_EQ(num_cases, 5);
}

TEST(RandomResizedCrop, DependsOnSeedEpochAndImage) {
  const auto same = [](const SampleKey& a, const SampleKey& b) {
    const Box x = random_resized_crop(400, 400, 0.2, a);
    const Box y = random_resized_crop(400, 400, 0.2, b);
    return x.top == y.top && x.left == y.left && x.height == y.height && x.width == y.width;
  };
  EXPECT_TRUE(same({1, 2, 3}, {1, 2, 3}));
  EXPECT_FALSE(same({1, 2, 3}, {2, 2, 3}));
  EXPECT_FALSE(same({1, 2, 3}, {1, 3, 3}));
  EXPECT_FALSE(same({1, 2, 3}, {1, 2, 4}));
}

TEST(RandomResizedCrop, FallsBackToTheCentre) {
  // No box of the ratios that are allowed has a fifth of such an area.
  const Box wide = random_resized_crop(10, 1000, 0.2, {});
  EXPECT_EQ(wide.height, 10);
  EXPECT_EQ(wide.width, 13);
  EXPECT_EQ(wide.left, 493);
  const Box tall = random_resized_crop(1000, 10, 0.2, {});
  EXPECT_EQ(tall.width, 10);
  EXPECT_EQ(tall.height, 13);
  EXPECT_EQ(tall.top, 493);
}

TEST(RandomFlip, ComesUpAsOftenAsItShould) {
  constexpr int kDraws = 10000;
  for (const double probability : {0.0, 0.2, 0.5, 1.0}) {
    int flips = 0;
    for (int i = 0; i < kDraws; ++i) {
      flips += random_flip(probability, {.seed = 4, .epoch = 0, .index = i}) ? 1 : 0;
    }
    const double deviation = std::sqrt(kDraws * probability * (1 - probability));
    EXPECT_NEAR(flips, kDraws * probability, 4 * deviation);
  }
}

TEST(EvaluationView, RoundsAsTorchvisionDoes) {
  DecodedImage image{.bytes = {}, .height = 375, .width = 500};
  kernels::ImageView view = evaluation_view(image, {.eval_crop_share = 0.875}, 224);
  EXPECT_EQ(view.crop_height, 375);
  EXPECT_EQ(view.crop_width, 500);
  EXPECT_EQ(view.resized_height, 256);
  EXPECT_EQ(view.resized_width, 341);  // 341.33
  EXPECT_EQ(view.window_top, 16);
  EXPECT_EQ(view.window_left, 58);  // round(58.5) goes to even
  EXPECT_EQ(view.flip, 0);

  image.height = 32;
  image.width = 32;
  view = evaluation_view(image, {}, 224);
  EXPECT_EQ(view.resized_height, 224);
  EXPECT_EQ(view.window_left, 0);
}

}  // namespace
}  // namespace tessera::data

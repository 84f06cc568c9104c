#include "data/augment.hpp"

#include "data/random.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace tessera::data {

namespace {

constexpr std::string_view kPurpose = "data.augment";
constexpr double kMinRatio = 3.0 / 4.0;
constexpr double kMaxRatio = 4.0 / 3.0;
constexpr std::uint64_t kAttempts = 10;
constexpr std::uint64_t kFlipDraw = 255;  // a draw that no attempt uses

/// Four words for one purpose of one sample.
core::Philox4 draw(const SampleKey& key, std::uint64_t number) {
  return RandomStream(key.seed, kPurpose)
      .at(static_cast<std::uint64_t>(key.index), (static_cast<std::uint64_t>(key.epoch) << 8U) | number);
}

/// Python's round(): halves go to the even neighbour.
std::int32_t round_half_even(double value) { return static_cast<std::int32_t>(std::nearbyint(value)); }

Box central_crop(std::int32_t height, std::int32_t width) {
  Box box{.height = height, .width = width};
  const double ratio = static_cast<double>(width) / height;
  if (ratio < kMinRatio) {
    box.height = round_half_even(width / kMinRatio);
  } else if (ratio > kMaxRatio) {
    box.width = round_half_even(height * kMaxRatio);
  }
  box.top = (height - box.height) / 2;
  box.left = (width - box.width) / 2;
  return box;
}

kernels::ImageView view_of(const DecodedImage& image, const Box& box) {
  kernels::ImageView view;
  view.height = image.height;
  view.width = image.width;
  view.channels = image.channels;
  view.planar = image.planar ? 1 : 0;
  view.crop_top = box.top;
  view.crop_left = box.left;
  view.crop_height = box.height;
  view.crop_width = box.width;
  return view;
}

}  // namespace

Box random_resized_crop(std::int32_t height, std::int32_t width, double min_area, const SampleKey& key) {
  const double area = static_cast<double>(height) * width;
  for (std::uint64_t attempt = 0; attempt < kAttempts; ++attempt) {
    const core::Philox4 words = draw(key, attempt);
    const double target = area * scale_to(words.value[0], min_area, 1.0);
    const double ratio = std::exp(scale_to(words.value[1], std::log(kMinRatio), std::log(kMaxRatio)));
    const std::int32_t box_width = round_half_even(std::sqrt(target * ratio));
    const std::int32_t box_height = round_half_even(std::sqrt(target / ratio));
    if (box_width > 0 && box_width <= width && box_height > 0 && box_height <= height) {
      const auto rows = static_cast<std::uint32_t>(height - box_height + 1);
      const auto columns = static_cast<std::uint32_t>(width - box_width + 1);
      return {.top = static_cast<std::int32_t>(scale_to(words.value[2], rows)),
              .left = static_cast<std::int32_t>(scale_to(words.value[3], columns)),
              .height = box_height,
              .width = box_width};
    }
  }
  return central_crop(height, width);
}

bool random_flip(double probability, const SampleKey& key) {
  return scale_to(draw(key, kFlipDraw).value[0], 0.0, 1.0) >= 1 - probability;
}

kernels::ImageView training_view(const DecodedImage& image, const Recipe& recipe, std::int32_t size, double hflip,
                                 const SampleKey& key) {
  kernels::ImageView view = view_of(image, random_resized_crop(image.height, image.width, recipe.min_crop_area, key));
  view.resized_height = size;
  view.resized_width = size;
  view.flip = random_flip(hflip, key) ? 1 : 0;
  return view;
}

kernels::ImageView evaluation_view(const DecodedImage& image, const Recipe& recipe, std::int32_t size) {
  kernels::ImageView view = view_of(image, {.height = image.height, .width = image.width});
  const auto short_side = static_cast<std::int64_t>(static_cast<double>(size) / recipe.eval_crop_share);
  const std::int64_t smaller = std::min(image.height, image.width);
  // The longer side is cut off, not rounded.
  view.resized_height = static_cast<std::int32_t>(short_side * image.height / smaller);
  view.resized_width = static_cast<std::int32_t>(short_side * image.width / smaller);
  view.window_top = round_half_even((view.resized_height - size) / 2.0);
  view.window_left = round_half_even((view.resized_width - size) / 2.0);
  return view;
}

}  // namespace tessera::data

#include "data/random_erasing.hpp"

#include "data/random.hpp"

#include <cmath>

namespace tessera::data {

namespace {

constexpr double kMinArea = 0.02;  // of the image, over all rectangles
constexpr double kMaxArea = 1.0 / 3.0;
constexpr double kMinAspect = 0.3;
constexpr int kAttempts = 10;

/// A rectangle smaller than the image in both directions; ten attempts, then none.
bool draw_box(RandomSequence& sequence, std::int32_t side, std::int64_t count, kernels::ErasedBox& box) {
  const double area = static_cast<double>(side) * side / static_cast<double>(count);
  const double most = std::log(1 / kMinAspect);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const double target = sequence.uniform(kMinArea, kMaxArea) * area;
    const double aspect = std::exp(sequence.uniform(std::log(kMinAspect), most));
    box.height = static_cast<std::int32_t>(std::nearbyint(std::sqrt(target * aspect)));
    box.width = static_cast<std::int32_t>(std::nearbyint(std::sqrt(target / aspect)));
    if (box.height < side && box.width < side) {
      box.top = static_cast<std::int32_t>(sequence.below(side - box.height + 1));
      box.left = static_cast<std::int32_t>(sequence.below(side - box.width + 1));
      return box.height > 0 && box.width > 0;
    }
  }
  return false;
}

}  // namespace

void append_erased_boxes(const config::AugmentConfig& augment, std::int32_t side, std::int32_t image,
                         const SampleKey& key, std::vector<kernels::ErasedBox>& boxes) {
  RandomSequence sequence(RandomStream(key.seed, "data.erase"), static_cast<std::uint64_t>(key.index),
                          static_cast<std::uint64_t>(key.epoch));
  if (!sequence.happens(augment.reprob)) {
    return;
  }
  kernels::ErasedBox box{.image = image, .is_noise = augment.remode == config::EraseMode::kPixel ? 1 : 0};
  box.key = (std::uint64_t{sequence.word()} << 32U) | sequence.word();
  const std::int64_t count = 1 + sequence.below(augment.recount);
  for (std::int64_t i = 0; i < count; ++i) {
    const bool found = draw_box(sequence, side, count, box);
    if (augment.remode == config::EraseMode::kRand) {
      for (float& value : box.color) {
        value = static_cast<float>(sequence.normal(0, 1));
      }
    }
    if (found) {
      boxes.push_back(box);
    }
  }
}

}  // namespace tessera::data

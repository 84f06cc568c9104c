#include "data/mixing.hpp"

#include <algorithm>
#include <cmath>

namespace tessera::data {

namespace {

/// The logarithm of a gamma variate of scale 1: Marsaglia and Tsang 2000, with their boost for alpha below 1. As a
/// logarithm, since a tiny alpha gives numbers that no double holds.
double draw_log_gamma(double alpha, RandomSequence& sequence) {
  const double d = (alpha < 1 ? alpha + 1 : alpha) - 1.0 / 3.0;
  const double c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = sequence.normal(0, 1);
    const double root = 1 + c * x;
    const double v = root * root * root;
    const double log_u = std::log(sequence.open_unit());
    if (v > 0 && log_u < 0.5 * x * x + d - d * v + d * std::log(v)) {
      return std::log(d * v) + (alpha < 1 ? std::log(sequence.open_unit()) / alpha : 0);
    }
  }
}

/// The box of another image, and the share that it leaves.
struct Cut {
  kernels::ImageMix mix;
  float share;
};

Cut finish_cut(std::int32_t side, kernels::ImageMix mix) {
  const double area = static_cast<double>(mix.height) * mix.width;
  return {mix, static_cast<float>(1.0 - area / (static_cast<double>(side) * side))};
}

/// Along one axis: `size` pixels about a centre that is uniform, as far as they lie inside.
void cut_about_a_centre(std::int32_t side, std::int32_t size, RandomSequence& sequence, std::int32_t& begin,
                        std::int32_t& length) {
  const auto centre = static_cast<std::int32_t>(sequence.below(side));
  begin = std::clamp(centre - size / 2, 0, side);
  length = std::clamp(centre + (size + 1) / 2, 0, side) - begin;
}

Cut draw_cut(const config::AugmentConfig& augment, std::int32_t side, double lambda, RandomSequence& sequence) {
  kernels::ImageMix mix;
  if (augment.cutmix_minmax) {
    const auto least = static_cast<std::int32_t>(side * augment.cutmix_minmax->min);
    const auto most = static_cast<std::int32_t>(side * augment.cutmix_minmax->max);
    mix.height = least + static_cast<std::int32_t>(sequence.below(most - least));
    mix.width = least + static_cast<std::int32_t>(sequence.below(most - least));
    mix.top = static_cast<std::int32_t>(sequence.below(side - mix.height + 1));
    mix.left = static_cast<std::int32_t>(sequence.below(side - mix.width + 1));
    return finish_cut(side, mix);
  }
  const auto size = static_cast<std::int32_t>(side * std::sqrt(1 - lambda));
  cut_about_a_centre(side, size, sequence, mix.top, mix.height);
  cut_about_a_centre(side, size, sequence, mix.left, mix.width);
  return finish_cut(side, mix);
}

Cut draw_one(const config::AugmentConfig& augment, std::int32_t side, RandomSequence& sequence) {
  const Cut unmixed{{}, 1};
  if (!sequence.happens(augment.mixup_prob)) {
    return unmixed;
  }
  const bool both = augment.mixup > 0 && augment.cuts();
  const bool cuts = both ? sequence.happens(augment.mixup_switch_prob) : augment.cuts();
  const double alpha = cuts ? (augment.cutmix_minmax ? 1 : augment.cutmix) : augment.mixup;
  const double lambda = draw_beta(alpha, sequence);
  if (cuts) {
    return draw_cut(augment, side, lambda, sequence);
  }
  return {{.own = static_cast<float>(lambda), .other = static_cast<float>(1 - lambda)}, static_cast<float>(lambda)};
}

}  // namespace

double draw_beta(double alpha, RandomSequence& sequence) {
  const double log_x = draw_log_gamma(alpha, sequence);
  const double log_y = draw_log_gamma(alpha, sequence);
  return 1 / (1 + std::exp(log_y - log_x));
}

BatchMix draw_mix(const config::AugmentConfig& augment, std::int64_t num_images, std::int32_t side,
                  const BatchKey& key) {
  const RandomStream stream(key.seed, "data.mix");
  const auto draw = [&](std::int64_t image) {
    // Every image has a sequence of its own: how many numbers one takes does not move the next.
    RandomSequence sequence(stream, (static_cast<std::uint64_t>(key.number) << 24U) | static_cast<std::uint64_t>(image),
                            static_cast<std::uint64_t>(key.epoch));
    return draw_one(augment, side, sequence);
  };
  BatchMix mix;
  for (std::int64_t i = 0; i < num_images; ++i) {
    std::int64_t source = i;
    if (augment.mixup_mode == config::MixMode::kBatch) {
      source = 0;
    } else if (augment.mixup_mode == config::MixMode::kPair) {
      source = std::min(i, num_images - 1 - i);
    }
    const Cut cut = draw(source);
    mix.images.push_back(cut.mix);
    mix.shares.push_back(cut.share);
  }
  return mix;
}

}  // namespace tessera::data

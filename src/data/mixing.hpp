#pragma once

#include "data/random.hpp"
#include "tessera/config/augment_config.hpp"
#include "tessera/kernels/image_boxes.hpp"

#include <cstdint>
#include <vector>

namespace tessera::data {

/// Which micro-batch of which pass over the data, over all ranks: with the seed, what its mixing depends on.
struct BatchKey {
  std::uint64_t seed = 0;
  std::int64_t epoch = 0;
  std::int64_t number = 0;  ///< in the epoch's order
};

/// How the images of a micro-batch are mixed, and the share that each keeps of its label.
struct BatchMix {
  std::vector<kernels::ImageMix> images;
  std::vector<float> shares;
};

/// Draws as timm's Mixup does, for an even number of images of side x side pixels.
BatchMix draw_mix(const config::AugmentConfig& augment, std::int64_t num_images, std::int32_t side,
                  const BatchKey& key);

/// From the beta distribution with both parameters `alpha`, in (0, 1) or, where alpha is tiny, at one of the ends.
double draw_beta(double alpha, RandomSequence& sequence);

}  // namespace tessera::data

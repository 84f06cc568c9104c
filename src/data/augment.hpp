#pragma once

#include "tessera/data/dataset.hpp"
#include "tessera/kernels/image_view.hpp"

#include <cstdint>

namespace tessera::data {

/// A rectangle inside an image, in pixels.
struct Box {
  std::int32_t top = 0;
  std::int32_t left = 0;
  std::int32_t height = 0;
  std::int32_t width = 0;
};

/// Which picture of which pass over the data: with the seed, what its augmentation depends on.
struct SampleKey {
  std::uint64_t seed = 0;
  std::int64_t epoch = 0;
  std::int64_t index = 0;  ///< in the data set
};

/// torchvision's RandomResizedCrop.get_params: an area uniform in (min_area, 1) of the image, a ratio of width to
/// height log-uniform in (3/4, 4/3), ten attempts, then the centre at the nearest ratio that is allowed.
Box random_resized_crop(std::int32_t height, std::int32_t width, double min_area, const SampleKey& key);

bool random_flip(double probability, const SampleKey& key);

/// Training's view of a whole image at offset 0: a random box, resized to size x size, mirrored with this probability.
kernels::ImageView training_view(const DecodedImage& image, const Recipe& recipe, std::int32_t size, double hflip,
                                 const SampleKey& key);

/// Evaluation's view: shorter side resized to int(size / eval_crop_share), and the centre of that (torchvision's Resize
/// and CenterCrop, with their rounding).
kernels::ImageView evaluation_view(const DecodedImage& image, const Recipe& recipe, std::int32_t size);

}  // namespace tessera::data

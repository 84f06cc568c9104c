#include "kernels/image_mix/arguments.hpp"

#include <ATen/core/Tensor.h>

#include <cstring>

// Compiled with -ffp-contract=off, so that the products are rounded before they are summed.

namespace tessera::kernels {

namespace {

bool has(const ImageMix& mix, std::int64_t y, std::int64_t x) {
  return y >= mix.top && y < mix.top + mix.height && x >= mix.left && x < mix.left + mix.width;
}

template <class T>
T mixed(const ImageMix& mix, bool in_box, T own, T other) {
  const float sum = mix.own * static_cast<float>(own) + mix.other * static_cast<float>(other);
  return in_box ? other : static_cast<T>(sum);
}

/// Both images of a pair at once, each from both as they were.
template <class T>
void mix_pair(const ImageMix& first_mix, const ImageMix& second_mix, std::int64_t side, T* first, T* second) {
  for (std::int64_t channel = 0; channel < 3; ++channel) {
    for (std::int64_t y = 0; y < side; ++y) {
      for (std::int64_t x = 0; x < side; ++x, ++first, ++second) {
        const T old = *first;
        *first = mixed(first_mix, has(first_mix, y, x), old, *second);
        *second = mixed(second_mix, has(second_mix, y, x), *second, old);
      }
    }
  }
}

template <class T>
void mix_all(const std::uint8_t* mixes, at::Tensor& images_B3SS) {
  const std::int64_t num_images = images_B3SS.size(0);
  const std::int64_t side = images_B3SS.size(2);
  const auto mix_of = [&](std::int64_t image) {
    ImageMix mix;
    std::memcpy(&mix, mixes + image * static_cast<std::int64_t>(sizeof mix), sizeof mix);
    return mix;
  };
  T* const images = images_B3SS.mutable_data_ptr<T>();
  for (std::int64_t i = 0; i < num_images / 2; ++i) {
    const std::int64_t j = num_images - 1 - i;
    mix_pair(mix_of(i), mix_of(j), side, images + i * 3 * side * side, images + j * 3 * side * side);
  }
}

}  // namespace

namespace cpu {

void mix_images(const at::Tensor& mixes, at::Tensor& images_B3SS) {
  image_mix::check(mixes, images_B3SS);
  if (images_B3SS.scalar_type() == at::kFloat) {
    mix_all<float>(mixes.const_data_ptr<std::uint8_t>(), images_B3SS);
  } else {
    mix_all<at::BFloat16>(mixes.const_data_ptr<std::uint8_t>(), images_B3SS);
  }
}

}  // namespace cpu

}  // namespace tessera::kernels

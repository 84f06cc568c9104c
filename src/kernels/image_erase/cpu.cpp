#include "kernels/image_erase/arguments.hpp"
#include "kernels/random_fill/random_element.hpp"
#include "tessera/core/error.hpp"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstring>

namespace tessera::kernels {

namespace {

constexpr std::int64_t kChannels = 3;

/// Elements [first, first + count) of the noise, where `row` is.
template <class T>
void fill_with_noise(T* row, std::int64_t first, std::int64_t count, std::uint64_t key) {
  for (std::int64_t counter = first / 4; counter <= (first + count - 1) / 4; ++counter) {
    const random_fill::Draws draws = random_fill::Normal::draw(key, counter);
    const std::int64_t end = std::min(first + count, 4 * counter + 4);
    for (std::int64_t element = std::max(first, 4 * counter); element < end; ++element) {
      row[element - first] = static_cast<T>(static_cast<float>(draws.value[element - 4 * counter]));
    }
  }
}

template <class T>
void erase(const ErasedBox& box, std::int64_t height, std::int64_t width, T* image) {
  for (std::int64_t channel = 0; channel < kChannels; ++channel) {
    for (std::int64_t y = box.top; y < box.top + box.height; ++y) {
      const std::int64_t element = (channel * height + y) * width + box.left;
      if (box.is_noise != 0) {
        fill_with_noise(image + element, element, box.width, box.key);
      } else {
        std::fill_n(image + element, box.width, static_cast<T>(box.color[channel]));
      }
    }
  }
}

template <class T>
void erase_all(const std::uint8_t* boxes, std::int64_t num_boxes, at::Tensor& images_B3SS) {
  const std::int64_t height = images_B3SS.size(2);
  const std::int64_t width = images_B3SS.size(3);
  for (std::int64_t i = 0; i < num_boxes; ++i) {
    ErasedBox box;
    std::memcpy(&box, boxes + i * static_cast<std::int64_t>(sizeof box), sizeof box);
    core::require(box.image >= 0 && box.image < images_B3SS.size(0) && box.top >= 0 && box.left >= 0 &&
                      box.height > 0 && box.width > 0 && box.top + std::int64_t{box.height} <= height &&
                      box.left + std::int64_t{box.width} <= width,
                  "kernels", "erase_images: box {} of {}x{} at ({}, {}) of image {} does not fit", i, box.height,
                  box.width, box.top, box.left, box.image);
    erase(box, height, width, images_B3SS.mutable_data_ptr<T>() + box.image * kChannels * height * width);
  }
}

}  // namespace

namespace cpu {

void erase_images(const at::Tensor& boxes, at::Tensor& images_B3SS) {
  const std::int64_t num_boxes = image_erase::check(boxes, images_B3SS, c10::kCPU);
  if (images_B3SS.scalar_type() == at::kFloat) {
    erase_all<float>(boxes.const_data_ptr<std::uint8_t>(), num_boxes, images_B3SS);
  } else {
    erase_all<at::BFloat16>(boxes.const_data_ptr<std::uint8_t>(), num_boxes, images_B3SS);
  }
}

}  // namespace cpu

}  // namespace tessera::kernels

#include "kernels/image_transform/arguments.hpp"
#include "kernels/image_transform/resample.hpp"
#include "tessera/kernels/image_transform.hpp"

#include <ATen/core/Tensor.h>

#include <array>
#include <type_traits>

// Shapes: B images, S x S pixels out, 3 channels.

namespace tessera::kernels {

namespace {

/// What each byte becomes in each channel: the arithmetic is torchvision's, in fp32.
template <class T>
using Table = std::array<std::array<T, 256>, 3>;

template <class T>
Table<T> make_table(const ImageTransform& transform) {
  Table<T> table;
  for (std::size_t channel = 0; channel < 3; ++channel) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      if constexpr (std::is_same_v<T, std::uint8_t>) {
        table[channel][byte] = static_cast<T>(byte);
        continue;
      }
      const float unit = static_cast<float>(byte) / 255.0F;
      table[channel][byte] = static_cast<T>((unit - transform.mean[channel]) / transform.std[channel]);
    }
  }
  return table;
}

template <class T>
void transform_all(const std::uint8_t* packed, const at::Tensor& views, const ImageTransform& transform, T* out) {
  const auto size = static_cast<std::int32_t>(transform.output_size);
  const std::int64_t plane = transform.output_size * transform.output_size;
  const Table<T> table = make_table<T>(transform);
  image_transform::Resampler resampler(size);
  const std::int64_t num_images = views.numel() / static_cast<std::int64_t>(sizeof(ImageView));
  for (std::int64_t image = 0; image < num_images; ++image, out += 3 * plane) {
    const ImageView view = image_transform::view_at(views, image);
    resampler.begin(packed, view);
    for (std::int32_t y = 0; y < size; ++y) {
      const std::uint8_t* row = nullptr;
      for (std::int32_t channel = 0; channel < 3; ++channel) {
        if (channel < view.channels) {
          row = resampler.row(channel, y);
        }
        const std::array<T, 256>& values = table[static_cast<std::size_t>(channel)];
        T* target = out + channel * plane + static_cast<std::int64_t>(y) * size;
        for (std::int32_t x = 0; x < size; ++x) {
          target[x] = values[row[x]];
        }
      }
    }
  }
}

}  // namespace

namespace cpu {

void transform_images(const at::Tensor& packed, const at::Tensor& views, const ImageTransform& transform,
                      at::Tensor& out_B3SS) {
  image_transform::check(packed, views, transform, out_B3SS, c10::kCPU);
  image_transform::check_views(packed, views, transform);
  const auto* bytes = packed.const_data_ptr<std::uint8_t>();
  if (out_B3SS.scalar_type() == at::kFloat) {
    transform_all(bytes, views, transform, out_B3SS.mutable_data_ptr<float>());
  } else if (out_B3SS.scalar_type() == at::kByte) {
    transform_all(bytes, views, transform, out_B3SS.mutable_data_ptr<std::uint8_t>());
  } else {
    transform_all(bytes, views, transform, out_B3SS.mutable_data_ptr<c10::BFloat16>());
  }
}

}  // namespace cpu

}  // namespace tessera::kernels

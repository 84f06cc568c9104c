#include "kernels/image_transform/arguments.hpp"

#include "tessera/core/error.hpp"

#include <ATen/ATen.h>

#include <cstring>

namespace tessera::kernels {

namespace {

constexpr std::int64_t kViewBytes = sizeof(ImageView);

bool is_flat_bytes(const at::Tensor& tensor, c10::DeviceType device) {
  return tensor.scalar_type() == at::kByte && tensor.dim() == 1 && tensor.is_contiguous() &&
         tensor.device().type() == device;
}

/// Whether the box becomes something that the window fits into, at a reduction that the taps allow.
bool axis_fits(std::int64_t box, std::int64_t resized, std::int64_t window, std::int64_t output_size) {
  return box > 0 && resized > 0 && window >= 0 && window + output_size <= resized && box <= kMaxReduction * resized;
}

bool view_fits(const ImageView& view, std::int64_t packed_bytes, std::int64_t output_size) {
  const bool image_fits = (view.channels == 1 || view.channels == 3) && view.height > 0 && view.width > 0 &&
                          view.offset >= 0 && view.offset <= packed_bytes &&
                          std::int64_t{view.height} * view.width <= (packed_bytes - view.offset) / view.channels;
  const bool box_fits = view.crop_top >= 0 && view.crop_left >= 0 &&
                        std::int64_t{view.crop_top} + view.crop_height <= view.height &&
                        std::int64_t{view.crop_left} + view.crop_width <= view.width;
  return image_fits && box_fits && axis_fits(view.crop_height, view.resized_height, view.window_top, output_size) &&
         axis_fits(view.crop_width, view.resized_width, view.window_left, output_size);
}

}  // namespace

ImageView view_at(const at::Tensor& views, std::int64_t index) {
  ImageView view;
  std::memcpy(&view, views.const_data_ptr<std::uint8_t>() + index * kViewBytes, sizeof view);
  return view;
}

void check_transform(const at::Tensor& packed, const at::Tensor& views, const ImageTransform& transform,
                     const at::Tensor& out_B3SS, c10::DeviceType device) {
  core::require(is_flat_bytes(packed, device) && is_flat_bytes(views, device) && views.numel() % kViewBytes == 0,
                "kernels", "transform_images wants flat uint8 tensors of bytes and of views on {}",
                c10::DeviceTypeName(device));
  const std::int64_t num_images = views.numel() / kViewBytes;
  const std::int64_t size = transform.output_size;
  const bool right_type = out_B3SS.scalar_type() == at::kFloat || out_B3SS.scalar_type() == at::kBFloat16;
  core::require(size > 0 && right_type && out_B3SS.device().type() == device && out_B3SS.is_contiguous() &&
                    out_B3SS.sizes() == at::IntArrayRef({num_images, 3, size, size}),
                "kernels", "transform_images of {} views to {} pixels writes no {} tensor of {} elements", num_images,
                size, c10::toString(out_B3SS.scalar_type()), out_B3SS.numel());
}

void check_views(const at::Tensor& packed, const at::Tensor& views, const ImageTransform& transform) {
  for (std::int64_t image = 0; image < views.numel() / kViewBytes; ++image) {
    const ImageView view = view_at(views, image);
    core::require(view_fits(view, packed.numel(), transform.output_size), "kernels",
                  "view {} of transform_images does not fit: image {}x{}x{} at byte {} of {}, box {}x{} at ({}, {}), "
                  "resized to {}x{}, window of {} at ({}, {})",
                  image, view.height, view.width, view.channels, view.offset, packed.numel(), view.crop_height,
                  view.crop_width, view.crop_top, view.crop_left, view.resized_height, view.resized_width,
                  transform.output_size, view.window_top, view.window_left);
  }
}

}  // namespace tessera::kernels

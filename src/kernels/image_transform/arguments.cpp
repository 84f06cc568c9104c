#include "kernels/image_transform/arguments.hpp"

#include "kernels/checks.hpp"
#include "tessera/core/error.hpp"

#include <ATen/core/Tensor.h>

#include <cstring>

namespace tessera::kernels::image_transform {

namespace {

constexpr std::int64_t kViewBytes = sizeof(ImageView);

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

void check(const at::Tensor& packed, const at::Tensor& views, const ImageTransform& transform,
           const at::Tensor& out_B3SS, c10::DeviceType device) {
  core::require(out_B3SS.device().type() == device, "kernels", "transform_images: the output is on {}, expected {}",
                out_B3SS.device().str(), c10::DeviceTypeName(device, /*lower_case=*/true));
  Check("transform_images", "packed", packed).has_type(at::kByte).has_dim(1).is_contiguous().is_on(out_B3SS.device());
  Check("transform_images", "views", views).has_type(at::kByte).has_dim(1).is_contiguous().is_on(out_B3SS.device());
  core::require(views.numel() % kViewBytes == 0 && transform.output_size > 0, "kernels",
                "transform_images: no views of {} bytes in {}, or no output of {} pixels", kViewBytes, views.numel(),
                transform.output_size);
  const Check out("transform_images", "out", out_B3SS);
  if (device != c10::kCPU || out_B3SS.scalar_type() != at::kByte) {
    static_cast<void>(out.is_float());
  }
  out.has_shape({views.numel() / kViewBytes, 3, transform.output_size, transform.output_size}).is_contiguous();
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

}  // namespace tessera::kernels::image_transform

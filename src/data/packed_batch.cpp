#include "data/packed_batch.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>

namespace tessera::data {

void PackedBatch::begin(std::int64_t num_images) {
  num_images_ = num_images;
  num_added_ = 0;
  used_ = 0;
  reserve(views_bytes());
  used_ = views_bytes();
}

void PackedBatch::add(const std::uint8_t* image, kernels::ImageView view) {
  const std::int64_t pixel_bytes = view.planar != 0 ? 1 : view.channels;
  const std::int64_t num_planes = view.planar != 0 ? view.channels : 1;
  const std::int64_t row_bytes = view.crop_width * pixel_bytes;
  reserve(used_ + num_planes * view.crop_height * row_bytes);

  auto* const base = memory_.mutable_data_ptr<std::uint8_t>();
  std::uint8_t* target = base + used_;
  for (std::int64_t plane = 0; plane < num_planes; ++plane) {
    for (std::int64_t row = 0; row < view.crop_height; ++row) {
      const std::int64_t pixel = (plane * view.height + view.crop_top + row) * view.width + view.crop_left;
      std::memcpy(target, image + pixel * pixel_bytes, static_cast<std::size_t>(row_bytes));
      target += row_bytes;
    }
  }
  view.offset = used_ - views_bytes();
  view.height = view.crop_height;
  view.width = view.crop_width;
  view.crop_top = 0;
  view.crop_left = 0;
  std::memcpy(base + num_added_ * kViewBytes, &view, sizeof view);
  ++num_added_;
  used_ = target - base;
}

at::Tensor PackedBatch::lay_out(std::int64_t num_images, std::int32_t side) {
  begin(num_images);
  const std::int64_t image_bytes = std::int64_t{3} * side * side;
  reserve(used_ + num_images * image_bytes);
  kernels::ImageView view{.height = side,
                          .width = side,
                          .planar = 1,
                          .crop_height = side,
                          .crop_width = side,
                          .resized_height = side,
                          .resized_width = side};
  for (; num_added_ < num_images; ++num_added_) {
    std::memcpy(memory_.mutable_data_ptr<std::uint8_t>() + num_added_ * kViewBytes, &view, sizeof view);
    view.offset += image_bytes;
  }
  used_ += num_images * image_bytes;
  return memory_.narrow(0, views_bytes(), num_images * image_bytes).view({num_images, 3, side, side});
}

at::Tensor PackedBatch::whole() const { return memory_.narrow(0, 0, used_); }

void PackedBatch::reserve(std::int64_t num_bytes) {
  if (memory_.defined() && memory_.numel() >= num_bytes) {
    return;
  }
  const std::int64_t grown = memory_.defined() ? memory_.numel() + memory_.numel() / 2 : 0;
  at::Tensor bigger =
      at::empty({std::max(num_bytes, grown)}, at::TensorOptions().dtype(at::kByte).pinned_memory(pinned_));
  if (used_ > 0) {
    std::memcpy(bigger.mutable_data_ptr<std::uint8_t>(), memory_.const_data_ptr<std::uint8_t>(),
                static_cast<std::size_t>(used_));
  }
  memory_ = std::move(bigger);
}

}  // namespace tessera::data

#include "kernels/image_mix/arguments.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/where.h>

// Shapes: B images, S x S pixels; a 1 is an axis over which a number is the same.

namespace tessera::kernels::reference {
namespace {

/// Whether each place of an axis lies in each image's box: from `begin_B1` on, `size_B1` long.
at::Tensor inside(const at::Tensor& begin_B1, const at::Tensor& size_B1, std::int64_t side) {
  const at::Tensor places_S = at::arange(side, begin_B1.options());
  return (places_S >= begin_B1) & (places_S < begin_B1 + size_B1);
}

}  // namespace

void mix_images(const at::Tensor& mixes, at::Tensor& images_B3SS) {
  image_mix::check(mixes, images_B3SS);
  const std::int64_t num_images = images_B3SS.size(0);
  const std::int64_t side = images_B3SS.size(2);
  constexpr std::int64_t kFields = sizeof(ImageMix) / 4;
  const at::Tensor shares = mixes.view(at::kFloat).view({num_images, kFields, 1, 1, 1});
  const at::Tensor boxes = mixes.view(at::kInt).view({num_images, kFields, 1});
  const at::Tensor rows_BS = inside(boxes.select(1, 2), boxes.select(1, 4), side);
  const at::Tensor columns_BS = inside(boxes.select(1, 3), boxes.select(1, 5), side);
  const at::Tensor inside_B1SS = rows_BS.view({num_images, 1, side, 1}) & columns_BS.view({num_images, 1, 1, side});

  const at::Tensor own_B3SS = images_B3SS.to(at::kFloat);
  const at::Tensor other_B3SS = own_B3SS.flip(0);
  const at::Tensor mixed_B3SS = own_B3SS * shares.select(1, 0) + other_B3SS * shares.select(1, 1);
  images_B3SS.copy_(at::where(inside_B1SS, other_B3SS, mixed_B3SS));
}

}  // namespace tessera::kernels::reference

#pragma once

#include "tessera/kernels/image_transform.hpp"

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceType.h>

#include <cstdint>

namespace tessera::kernels::image_transform {

/// Throws core::Error unless the tensors have the shapes, types and place that TransformImages asks for.
void check(const at::Tensor& packed, const at::Tensor& views, const ImageTransform& transform,
           const at::Tensor& out_B3SS, c10::DeviceType device);

/// Throws core::Error unless every view lies inside `packed` and its window inside what the box becomes. `views` is in
/// host memory.
void check_views(const at::Tensor& packed, const at::Tensor& views, const ImageTransform& transform);

/// View `index` of a tensor in host memory.
ImageView view_at(const at::Tensor& views, std::int64_t index);

}  // namespace tessera::kernels::image_transform

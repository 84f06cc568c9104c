#pragma once

#include "tessera/kernels/image_erase.hpp"

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceType.h>

#include <cstdint>

namespace tessera::kernels::image_erase {

/// Throws core::Error unless the tensors have the shapes, types and place that EraseImages asks for. Returns the number
/// of boxes.
std::int64_t check(const at::Tensor& boxes, const at::Tensor& images_B3SS, c10::DeviceType device);

}  // namespace tessera::kernels::image_erase

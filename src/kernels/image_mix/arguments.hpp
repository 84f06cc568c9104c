#pragma once

#include "tessera/kernels/image_mix.hpp"

#include <ATen/core/Tensor.h>

namespace tessera::kernels::image_mix {

/// Throws core::Error unless the tensors have the shapes, types and place that MixImages asks for.
void check(const at::Tensor& mixes, const at::Tensor& images_B3SS);

}  // namespace tessera::kernels::image_mix

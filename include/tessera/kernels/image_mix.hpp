#pragma once

#include "tessera/kernels/image_boxes.hpp"

#include <ATen/core/Tensor.h>

// Shapes: B images of 3 x S x S.

namespace tessera::kernels {

/// Mixes each image of a batch with its partner, image i with image B - 1 - i as they were before: own x image + other
/// x partner, or the image with a box from the partner. (Zhang et al. 2018; Yun et al. 2019; the partner is timm's.)
/// images_B3SS is fp32 or bf16, contiguous; the products and their sum are fp32, each rounded, and the result once
/// more. `mixes` is a 1-D uint8 tensor that holds B ImageMix structs, on the images' device.
using MixImages = void(const at::Tensor& mixes, at::Tensor& images_B3SS);

namespace reference {
MixImages mix_images;
}  // namespace reference

namespace cpu {
/// On the calling thread alone: the loader's workers call it side by side. The bits of reference::.
MixImages mix_images;
}  // namespace cpu

}  // namespace tessera::kernels

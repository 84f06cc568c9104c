#pragma once

#include "tessera/kernels/image_boxes.hpp"

#include <ATen/core/Tensor.h>

// Shapes: B images of 3 x S x S.

namespace tessera::kernels {

/// Fills rectangles of normalised images (fp32 or bf16, contiguous). `boxes` is a 1-D uint8 tensor that holds ErasedBox
/// structs, those of one image one after the other; where they overlap, the last one is seen. Element e of an image, in
/// noise, is FillNormal's element e with a mean of 0 and a deviation of 1.
///
/// For cpu:: all lie in host memory, and a box that does not fit throws core::Error. For cuda:: all lie on the images'
/// device, and the caller has seen to it that every box fits. Stream-ordered on the current stream of that device.
using EraseImages = void(const at::Tensor& boxes, at::Tensor& images_B3SS);

namespace cpu {
/// On the calling thread alone: the loader's workers call it side by side.
EraseImages erase_images;
}  // namespace cpu

namespace cuda {
EraseImages erase_images;
}  // namespace cuda

}  // namespace tessera::kernels

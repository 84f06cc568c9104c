#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

// Shapes: B images, S x S pixels out, 3 channels.

namespace tessera::kernels {

/// One decoded image inside a packed byte buffer, and what is to be cut from it.
struct ImageView {
  std::int64_t offset = 0;  ///< of the first byte in the packed buffer
  std::int32_t height = 0;
  std::int32_t width = 0;
  std::int32_t channels = 3;  ///< 1 (grey: repeated to 3 channels) or 3
  std::int32_t planar = 0;    ///< 1: channel planes one after the other; 0: channels interleaved
  std::int32_t crop_top = 0;  ///< the box that is resized, inside the image
  std::int32_t crop_left = 0;
  std::int32_t crop_height = 0;
  std::int32_t crop_width = 0;
  std::int32_t resized_height = 0;  ///< the box becomes this size,
  std::int32_t resized_width = 0;
  std::int32_t window_top = 0;  ///< of which the S x S window from here is taken (centre crop)
  std::int32_t window_left = 0;
  std::int32_t flip = 0;  ///< 1: mirrored left to right, after all else
};

struct ImageTransform {
  std::int64_t output_size = 224;
  std::array<float, 3> mean{};  ///< in units of [0, 1]
  std::array<float, 3> std{};
};

/// Resamples with Pillow's antialiased bicubic filter (a = -0.5; two passes, each rounded to 8 bits, with its 22-bit
/// fixed-point coefficients: the bytes are Pillow's own), then (byte / 255 - mean) / std into out_B3SS (fp32 or bf16).
///
/// `packed` is a 1-D uint8 tensor and `views` a 1-D uint8 tensor that holds B ImageView structs, both on the CPU and,
/// for cuda::, readable from the device's stream as the caller copied them there.
using TransformImages = void(const at::Tensor& packed, const at::Tensor& views, const ImageTransform& transform,
                             at::Tensor& out_B3SS);

namespace cpu {
/// On the calling thread alone: the loader's workers call it side by side.
TransformImages transform_images;
}  // namespace cpu

namespace cuda {
TransformImages transform_images;
}  // namespace cuda

}  // namespace tessera::kernels

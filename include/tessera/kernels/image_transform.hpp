#pragma once

#include "tessera/kernels/image_view.hpp"

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

// Shapes: B images, S x S pixels out, 3 channels.

namespace tessera::kernels {

struct ImageTransform {
  std::int64_t output_size = 224;
  std::array<float, 3> mean{};  ///< in units of [0, 1]
  std::array<float, 3> std{};
};

/// Resamples with Pillow's antialiased bicubic filter (a = -0.5; the horizontal pass, then the vertical one, each
/// rounded to 8 bits, with its 22-bit fixed-point coefficients: the bytes are those of Pillow 12), then (byte / 255 -
/// mean) / std into out_B3SS (fp32 or bf16, contiguous). Both implementations give the same bits.
///
/// `packed` is a 1-D uint8 tensor and `views` a 1-D uint8 tensor that holds B ImageView structs. For cpu:: all lie in
/// host memory, and a view that does not fit throws core::Error. For cuda:: all lie on the device of `out_B3SS`, and
/// the caller has seen to it that every view fits. Stream-ordered on the current stream of that device.
using TransformImages = void(const at::Tensor& packed, const at::Tensor& views, const ImageTransform& transform,
                             at::Tensor& out_B3SS);

namespace cpu {
/// On the calling thread alone: the loader's workers call it side by side. Where out_B3SS is uint8, it gets the bytes
/// before normalisation, and mean and std are not used.
TransformImages transform_images;
}  // namespace cpu

namespace cuda {
TransformImages transform_images;
}  // namespace cuda

}  // namespace tessera::kernels

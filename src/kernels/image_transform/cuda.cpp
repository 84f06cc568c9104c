#include "kernels/checks.hpp"
#include "kernels/image_transform/arguments.hpp"
#include "kernels/image_transform/launch.hpp"
#include "tessera/core/error.hpp"
#include "tessera/kernels/image_transform.hpp"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>

// Shapes: B images, S x S pixels out, 3 channels.

namespace tessera::kernels::cuda {

void transform_images(const at::Tensor& packed, const at::Tensor& views, const ImageTransform& transform,
                      at::Tensor& out_B3SS) {
  image_transform::check(packed, views, transform, out_B3SS, c10::kCUDA);
  constexpr std::int64_t kMostImages = 65535;  // the grid's third dimension
  core::require(out_B3SS.size(0) <= kMostImages && transform.output_size <= kMostImages, "kernels",
                "transform_images of {} images to {} pixels: at most {} at once", out_B3SS.size(0),
                transform.output_size, kMostImages);
  if (out_B3SS.numel() == 0) {
    return;
  }
  image_transform::Launch arguments{.packed = packed.const_data_ptr<std::uint8_t>(),
                                    .views = reinterpret_cast<const ImageView*>(views.const_data_ptr<std::uint8_t>()),
                                    .out = out_B3SS.mutable_data_ptr(),
                                    .dtype = dtype_of(out_B3SS),
                                    .num_images = static_cast<std::int32_t>(out_B3SS.size(0)),
                                    .output_size = static_cast<std::int32_t>(transform.output_size)};
  std::copy(transform.mean.begin(), transform.mean.end(), arguments.mean);
  std::copy(transform.std.begin(), transform.std.end(), arguments.std);

  const c10::cuda::CUDAGuard guard(out_B3SS.device());
  const cudaError_t error = image_transform::launch(arguments, c10::cuda::getCurrentCUDAStream());
  core::require(error == cudaSuccess, "kernels", "transform_images could not be launched: {}",
                cudaGetErrorString(error));
}

}  // namespace tessera::kernels::cuda

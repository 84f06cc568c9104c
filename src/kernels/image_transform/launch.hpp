#pragma once

#include "tessera/core/dtype.hpp"
#include "tessera/kernels/image_view.hpp"

#include <cstdint>

#include <cuda_runtime_api.h>

namespace tessera::kernels::image_transform {

struct Launch {
  const std::uint8_t* packed = nullptr;
  const ImageView* views = nullptr;           ///< num_images of them
  void* out = nullptr;                        ///< num_images x 3 x output_size x output_size
  core::DType dtype = core::DType::kFloat32;  ///< of `out`: fp32 or bf16
  std::int32_t num_images = 0;
  std::int32_t output_size = 0;
  float mean[3] = {};
  float std[3] = {};
};

/// All pointers are to device memory. Stream-ordered on `stream`. Returns what the launch returned.
cudaError_t launch(const Launch& arguments, cudaStream_t stream);

}  // namespace tessera::kernels::image_transform

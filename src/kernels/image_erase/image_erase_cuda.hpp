#pragma once

#include "tessera/core/dtype.hpp"
#include "tessera/kernels/image_boxes.hpp"

#include <cuda_runtime_api.h>

#include <cstdint>

// The launcher over raw pointers, for image_erase_cuda.cpp. No ATen here: nvcc compiles it.

namespace tessera::kernels::image_erase {

struct EraseArgs {
  const ErasedBox* boxes;
  std::int32_t num_boxes;
  void* images;
  core::DType dtype;
  std::int32_t height;
  std::int32_t width;
};

/// Stream-ordered on `stream`.
void launch(const EraseArgs& args, cudaStream_t stream);

}  // namespace tessera::kernels::image_erase

#include "kernels/image_erase/image_erase_cuda.hpp"

#include "kernels/checks.hpp"
#include "kernels/cuda_scope.hpp"
#include "kernels/image_erase/arguments.hpp"
#include "tessera/core/error.hpp"

#include <ATen/ATen.h>

namespace tessera::kernels::cuda {

void erase_images(const at::Tensor& boxes, at::Tensor& images_B3SS) {
  const CudaScope scope("erase_images", images_B3SS);
  const std::int64_t num_boxes = image_erase::check(boxes, images_B3SS, c10::kCUDA);
  constexpr std::int64_t kMostBoxes = 65535;  // the grid's second dimension
  core::require(num_boxes <= kMostBoxes, "kernels", "erase_images: {} boxes, at most {} at once", num_boxes,
                kMostBoxes);
  image_erase::launch({.boxes = reinterpret_cast<const ErasedBox*>(boxes.const_data_ptr<std::uint8_t>()),
                       .num_boxes = static_cast<std::int32_t>(num_boxes),
                       .images = images_B3SS.mutable_data_ptr(),
                       .dtype = dtype_of(images_B3SS),
                       .height = static_cast<std::int32_t>(images_B3SS.size(2)),
                       .width = static_cast<std::int32_t>(images_B3SS.size(3))},
                      scope.stream());
  scope.check_launch();
}

}  // namespace tessera::kernels::cuda

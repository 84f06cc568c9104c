#include "kernels/image_erase/arguments.hpp"

#include "kernels/checks.hpp"
#include "tessera/core/error.hpp"

#include <ATen/core/Tensor.h>

namespace tessera::kernels::image_erase {

std::int64_t check(const at::Tensor& boxes, const at::Tensor& images_B3SS, c10::DeviceType device) {
  Check("erase_images", "images", images_B3SS).is_float().has_dim(4).is_contiguous();
  core::require(images_B3SS.device().type() == device && images_B3SS.size(1) == 3, "kernels",
                "erase_images: images with {} channels on {}, expected 3 on {}", images_B3SS.size(1),
                images_B3SS.device().str(), c10::DeviceTypeName(device, /*lower_case=*/true));
  Check("erase_images", "boxes", boxes).has_type(at::kByte).has_dim(1).is_contiguous().is_on(images_B3SS.device());
  constexpr std::int64_t kBoxBytes = sizeof(ErasedBox);
  core::require(boxes.numel() % kBoxBytes == 0, "kernels", "erase_images: no boxes of {} bytes in {}", kBoxBytes,
                boxes.numel());
  return boxes.numel() / kBoxBytes;
}

}  // namespace tessera::kernels::image_erase

#include "kernels/image_mix/arguments.hpp"

#include "kernels/checks.hpp"
#include "tessera/core/error.hpp"

#include <ATen/core/Tensor.h>

namespace tessera::kernels::image_mix {

void check(const at::Tensor& mixes, const at::Tensor& images_B3SS) {
  Check("mix_images", "images", images_B3SS).is_float().has_dim(4).is_contiguous();
  const std::int64_t num_images = images_B3SS.size(0);
  core::require(num_images % 2 == 0 && images_B3SS.size(1) == 3 && images_B3SS.size(2) == images_B3SS.size(3),
                "kernels",
                "mix_images: {} images of {}x{}x{}; they must be an even number of square ones with 3 channels",
                num_images, images_B3SS.size(1), images_B3SS.size(2), images_B3SS.size(3));
  Check("mix_images", "mixes", mixes)
      .has_type(at::kByte)
      .has_shape({num_images * static_cast<std::int64_t>(sizeof(ImageMix))})
      .is_contiguous()
      .is_on(images_B3SS.device());
}

}  // namespace tessera::kernels::image_mix

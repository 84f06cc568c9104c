#pragma once

#include <cstdint>

// What happens to rectangles of the images of a batch. Plain data that nvcc reads too.

namespace tessera::kernels {

/// A rectangle of one image, and what it becomes: a colour, or noise.
struct ErasedBox {
  std::uint64_t key = 0;   ///< of the noise: see RandomStream
  std::int32_t image = 0;  ///< in the batch
  std::int32_t top = 0;
  std::int32_t left = 0;
  std::int32_t height = 0;
  std::int32_t width = 0;
  std::int32_t is_noise = 0;
  float color[3] = {};      ///< unless it is noise
  std::int32_t unused = 0;  ///< up to a multiple of eight bytes
};
static_assert(sizeof(ErasedBox) == 48);

/// How an image is mixed with its partner: the shares of both, and a box (empty, or not) that the partner fills alone.
struct ImageMix {
  float own = 1;
  float other = 0;
  std::int32_t top = 0;
  std::int32_t left = 0;
  std::int32_t height = 0;
  std::int32_t width = 0;
};
static_assert(sizeof(ImageMix) == 24);

}  // namespace tessera::kernels

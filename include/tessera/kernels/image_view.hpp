#pragma once

#include <cstdint>

namespace tessera::kernels {

/// One decoded image inside a packed byte buffer, and what is to be cut from it. Plain data that nvcc reads too.
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
static_assert(sizeof(ImageView) == 64);

/// The most by which a box may exceed what it becomes, in either direction: its taps must fit into the shared memory of
/// a GPU. The widest JPEG there can be, shrunk to 66 pixels, stays below.
inline constexpr std::int32_t kMaxReduction = 1000;

}  // namespace tessera::kernels

#pragma once

#include "tessera/kernels/image_view.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace tessera::data {

/// The decoded images of a batch in one piece of memory, so that one copy takes them to a device: the ImageViews, then
/// the bytes that they point into. Keeps its memory from batch to batch.
class PackedBatch {
 public:
  /// `pinned`: in page-locked memory, from which copies to a GPU need not wait.
  explicit PackedBatch(bool pinned) : pinned_(pinned) {}

  void begin(std::int64_t num_images);
  /// Appends the box of `view` cut out of `image`, whose first byte it is; view.offset is not used.
  void add(const std::uint8_t* image, kernels::ImageView view);

  /// In place of begin() and add(): images of side x side pixels in channel planes, each to be taken whole. Returns
  /// their bytes, num_images x 3 x side x side, for the caller to fill.
  at::Tensor lay_out(std::int64_t num_images, std::int32_t side);

  /// Views and bytes, 1-D uint8.
  [[nodiscard]] at::Tensor whole() const;
  [[nodiscard]] std::int64_t views_bytes() const { return num_images_ * kViewBytes; }

 private:
  static constexpr std::int64_t kViewBytes = sizeof(kernels::ImageView);

  void reserve(std::int64_t num_bytes);

  bool pinned_;
  at::Tensor memory_;
  std::int64_t num_images_ = 0;
  std::int64_t num_added_ = 0;
  std::int64_t used_ = 0;  ///< bytes of memory_
};

}  // namespace tessera::data

#pragma once

#include "kernels/image_transform/resample_taps.hpp"
#include "tessera/kernels/image_view.hpp"

#include <cstdint>
#include <vector>

namespace tessera::kernels::image_transform {

/// The taps of a run of neighbouring output pixels of one axis.
struct TapTable {
  bool identity = false;
  std::int32_t stride = 0;  ///< of `weights`, per output pixel
  std::vector<Taps> taps;
  std::vector<std::int32_t> weights;

  /// Of output pixels [begin, begin + count). Keeps its memory from call to call.
  void assign(const Axis& axis, std::int32_t begin, std::int32_t count);
  [[nodiscard]] std::int32_t first() const { return taps.front().first; }
  [[nodiscard]] std::int32_t last() const { return taps.back().first + taps.back().count; }
};

/// Cuts, resamples and mirrors images, one row of output at a time. Holds the memory that it needs from image to image.
class Resampler {
 public:
  explicit Resampler(std::int32_t output_size);

  /// Runs the horizontal pass over the rows of `view` that its window needs. `packed` must outlive the calls of row().
  void begin(const std::uint8_t* packed, const ImageView& view);
  /// Row `y` of channel `channel` (one that the view has) of the output: output_size bytes, until the next call.
  const std::uint8_t* row(std::int32_t channel, std::int32_t y);

 private:
  void copy_rows(const std::uint8_t* image, const ImageView& view);
  void resample_strip(const std::uint8_t* image, const ImageView& view, std::int32_t first_row, std::int32_t num_rows);

  std::int32_t output_size_;
  std::int64_t middle_stride_;  ///< bytes from row to row of middle_: output_size rounded up for vector loops
  std::int64_t plane_stride_ = 0;
  bool flip_ = false;
  TapTable columns_;
  TapTable rows_;
  std::vector<std::uint8_t> middle_;    ///< channel planes after the horizontal pass, mirrored already
  std::vector<std::uint8_t> strip_;     ///< kLanes rows of the source, transposed
  std::vector<std::uint8_t> filtered_;  ///< the same rows after the pass, still transposed
  std::vector<std::uint8_t> line_;
};

}  // namespace tessera::kernels::image_transform

#pragma once

#include "tessera/core/philox.hpp"

#include <cmath>
#include <cstdint>

// One axis of Pillow's 8-bit resampling with its bicubic filter (libImaging/Resample.c), for gcc and nvcc alike: the
// same operations in the same order, so that both give Pillow's coefficients to the last bit. Whoever includes this is
// compiled without contraction of multiply and add (-ffp-contract=off, --fmad=false).

namespace tessera::kernels::image_transform {

inline constexpr int kFractionBits = 22;
inline constexpr std::int32_t kOne = std::int32_t{1} << kFractionBits;
inline constexpr std::int32_t kHalf = kOne / 2;  ///< what every sum starts from, to round

struct Axis {
  std::int32_t in_size;
  std::int32_t out_size;
  double scale;    ///< input pixels per output pixel
  double stretch;  ///< of the filter: scale, or 1 where the image grows
  double support;  ///< half the filter's width in input pixels

  /// No output pixel has more taps. Always odd.
  [[nodiscard]] TESSERA_HOST_DEVICE std::int32_t max_taps() const {
    return in_size == out_size ? 1 : static_cast<std::int32_t>(ceil(support)) * 2 + 1;
  }
};

struct Taps {
  std::int32_t first;  ///< input pixel
  std::int32_t count;
};

TESSERA_HOST_DEVICE inline Axis make_axis(std::int32_t in_size, std::int32_t out_size) {
  const double scale = static_cast<double>(in_size) / out_size;
  const double stretch = scale < 1.0 ? 1.0 : scale;
  return {in_size, out_size, scale, stretch, 2.0 * stretch};
}

/// Keys' cubic convolution with a = -0.5 (Keys 1981).
TESSERA_HOST_DEVICE inline double bicubic(double x) {
  x = x < 0.0 ? -x : x;
  if (x < 1.0) {
    return (1.5 * x - 2.5) * x * x + 1;
  }
  if (x < 2.0) {
    return (((x - 5) * x + 8) * x - 4) * -0.5;
  }
  return 0.0;
}

TESSERA_HOST_DEVICE inline std::int32_t to_fixed(double weight) {
  return static_cast<std::int32_t>((weight < 0 ? -0.5 : 0.5) + weight * kOne);
}

/// The taps of output pixel `index`, their fixed-point weights in `weights`, which has room for max_taps().
/// An axis that keeps its size gets the identity: Pillow skips that pass, whose weights are 0 and 1 anyway.
TESSERA_HOST_DEVICE inline Taps make_taps(const Axis& axis, std::int32_t index, std::int32_t* weights) {
  if (axis.in_size == axis.out_size) {
    weights[0] = kOne;
    return {index, 1};
  }
  const double center = (index + 0.5) * axis.scale;
  const double inverse = 1.0 / axis.stretch;
  auto first = static_cast<std::int32_t>(center - axis.support + 0.5);
  first = first < 0 ? 0 : first;
  auto last = static_cast<std::int32_t>(center + axis.support + 0.5);
  last = last > axis.in_size ? axis.in_size : last;

  double total = 0.0;
  for (std::int32_t x = first; x < last; ++x) {
    total += bicubic((x - center + 0.5) * inverse);
  }
  for (std::int32_t x = first; x < last; ++x) {
    const double weight = bicubic((x - center + 0.5) * inverse);
    weights[x - first] = to_fixed(total == 0.0 ? weight : weight / total);
  }
  return {first, last - first};
}

/// The byte that a sum of weight x byte, started from kHalf, stands for.
TESSERA_HOST_DEVICE inline std::int32_t to_byte(std::int32_t sum) {
  const std::int32_t value = sum >> kFractionBits;
  return value < 0 ? 0 : (value > 255 ? 255 : value);
}

}  // namespace tessera::kernels::image_transform

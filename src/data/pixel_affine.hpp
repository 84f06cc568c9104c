#pragma once

#include "data/picture.hpp"

#include <cstdint>

namespace tessera::data {

/// Where an output pixel comes from: column a x + b y + c, row d x + e y + f of the source, in pixels with halves at
/// their centres.
struct AffineMap {
  double a = 1;
  double b = 0;
  double c = 0;
  double d = 0;
  double e = 1;
  double f = 0;
};

/// Counter-clockwise about the centre, with Pillow's rounding of the cosine and the sine to 15 digits.
AffineMap rotation(double degrees, std::int32_t side);

/// Pillow's Image.transform with bicubic interpolation. What lies outside becomes `fill`.
void transform(const Picture& picture, const AffineMap& map, const Color& fill, Scratch& scratch);

}  // namespace tessera::data

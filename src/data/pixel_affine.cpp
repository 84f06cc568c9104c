#include "data/pixel_affine.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numbers>

// The arithmetic is that of Pillow's Geometry.c, in fp64 and in its order, since a byte is what is left of the result
// when its fraction is cut off. Compiled with -ffp-contract=off, as Pillow is.

namespace tessera::data {

namespace {

constexpr std::size_t kChannels = 3;

/// Python's round(value, 15).
double round_to_15_digits(double value) {
  char text[40];
  static_cast<void>(std::snprintf(text, sizeof text, "%.15f", value));
  return std::strtod(text, nullptr);
}

/// Between v2 and v3, the cubic through four values (Keys's, with a = -1).
double cubic(double v1, double v2, double v3, double v4, double d) {
  const double p2 = -v1 + v3;
  const double p3 = 2 * (v1 - v2) + v3 - v4;
  const double p4 = -v1 + v2 - v3 + v4;
  return v2 + d * (p2 + d * (p3 + d * p4));
}

std::uint8_t to_byte(double value) {
  return value <= 0.0 ? std::uint8_t{0} : value >= 255.0 ? std::uint8_t{255} : static_cast<std::uint8_t>(value);
}

/// Along one axis: the four pixels around a place, beyond the ends the outermost ones, and where between the second and
/// the third it lies.
struct Place {
  std::int32_t at[4];
  double fraction;
};

/// Whether `from`, a place in pixels from the edge, is inside; then `place` tells where.
bool find_place(double from, std::int32_t side, Place& place) {
  if (from < 0.0 || from >= side) {
    return false;
  }
  from -= 0.5;
  const double whole = std::floor(from);
  place.fraction = from - whole;
  const auto first = static_cast<std::int32_t>(whole) - 1;
  for (std::int32_t i = 0; i < 4; ++i) {
    place.at[i] = std::clamp(first + i, 0, side - 1);
  }
  return true;
}

/// What a map leaves of the four by four pixels around a place.
enum class Axes { kBoth, kColumnsAlone, kRowsAlone };

/// An axis that a map leaves alone has the fraction 0: there the cubic is its second value, exactly.
Axes axes_of(const AffineMap& map) {
  if (map.d == 0 && map.e == 1 && map.f == 0) {
    return Axes::kColumnsAlone;
  }
  return map.a == 1 && map.b == 0 && map.c == 0 ? Axes::kRowsAlone : Axes::kBoth;
}

template <Axes kAxes>
double sample(const std::uint8_t* plane, std::int32_t side, const Place& x, const Place& y) {
  const auto row = [&](int i) { return plane + static_cast<std::int64_t>(y.at[i]) * side; };
  const auto along = [&x](const std::uint8_t* line) {
    return cubic(line[x.at[0]], line[x.at[1]], line[x.at[2]], line[x.at[3]], x.fraction);
  };
  if constexpr (kAxes == Axes::kColumnsAlone) {
    return along(row(1));
  } else if constexpr (kAxes == Axes::kRowsAlone) {
    return cubic(row(0)[x.at[1]], row(1)[x.at[1]], row(2)[x.at[1]], row(3)[x.at[1]], y.fraction);
  } else {
    return cubic(along(row(0)), along(row(1)), along(row(2)), along(row(3)), y.fraction);
  }
}

template <Axes kAxes>
void transform_all(const Picture& picture, const AffineMap& map, const Color& fill, const std::uint8_t* source) {
  const std::int32_t side = picture.side;
  std::size_t pixel = 0;
  for (std::int32_t row = 0; row < side; ++row) {
    const double y = row + 0.5;
    for (std::int32_t column = 0; column < side; ++column, ++pixel) {
      const double x = column + 0.5;
      Place from_x{};
      Place from_y{};
      const bool inside = find_place(map.a * x + map.b * y + map.c, side, from_x) &&
                          find_place(map.d * x + map.e * y + map.f, side, from_y);
      for (std::size_t channel = 0; channel < kChannels; ++channel) {
        picture.plane(channel)[pixel] =
            inside ? to_byte(sample<kAxes>(source + channel * picture.plane_bytes(), side, from_x, from_y))
                   : fill[channel];
      }
    }
  }
}

}  // namespace

AffineMap rotation(double degrees, std::int32_t side) {
  double turn = std::fmod(degrees, 360.0);
  turn = turn < 0 ? turn + 360.0 : turn;  // Python's %
  const double angle = -(turn * (std::numbers::pi / 180.0));
  AffineMap map;
  map.a = round_to_15_digits(std::cos(angle));
  map.b = round_to_15_digits(std::sin(angle));
  map.d = round_to_15_digits(-std::sin(angle));
  map.e = round_to_15_digits(std::cos(angle));
  const double centre = side / 2.0;
  map.c = map.a * -centre + map.b * -centre + 0.0 + centre;
  map.f = map.d * -centre + map.e * -centre + 0.0 + centre;
  return map;
}

void transform(const Picture& picture, const AffineMap& map, const Color& fill, Scratch& scratch) {
  scratch.assign(picture.pixels, picture.pixels + kChannels * picture.plane_bytes());
  switch (axes_of(map)) {
    case Axes::kBoth:
      return transform_all<Axes::kBoth>(picture, map, fill, scratch.data());
    case Axes::kColumnsAlone:
      return transform_all<Axes::kColumnsAlone>(picture, map, fill, scratch.data());
    case Axes::kRowsAlone:
      return transform_all<Axes::kRowsAlone>(picture, map, fill, scratch.data());
  }
}

}  // namespace tessera::data

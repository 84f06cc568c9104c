#include "data/pixel_blends.hpp"

#include "tessera/core/vector_clones.hpp"

#include <algorithm>
#include <cmath>

namespace tessera::data {

namespace {

constexpr std::size_t kChannels = 3;

TESSERA_VECTOR_CLONES void blend_with_grey(std::uint8_t* red, std::uint8_t* green, std::uint8_t* blue, std::size_t size,
                                           float factor) {
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint8_t grey = grey_of(red[i], green[i], blue[i]);
    red[i] = blend(grey, red[i], factor);
    green[i] = blend(grey, green[i], factor);
    blue[i] = blend(grey, blue[i], factor);
  }
}

/// Pillow's SMOOTH filter of one inner row, blended into the row: `above`, `row` and `below` are of the source. The
/// sums go from below to above, as Pillow's.
TESSERA_VECTOR_CLONES void sharpen_row(const std::uint8_t* above, const std::uint8_t* row, const std::uint8_t* below,
                                       std::int32_t side, float factor, std::uint8_t* out) {
  constexpr float kEdge = 1.0F / 13.0F;
  constexpr float kCentre = 5.0F / 13.0F;
  const auto weighted = [](const std::uint8_t* at, float centre) {
    return static_cast<float>(at[-1]) * kEdge + static_cast<float>(at[0]) * centre + static_cast<float>(at[1]) * kEdge;
  };
  for (std::int32_t x = 1; x < side - 1; ++x) {
    float sum = 0.5F;
    sum += weighted(below + x, kEdge);
    sum += weighted(row + x, kCentre);
    sum += weighted(above + x, kEdge);
    out[x] = blend(static_cast<std::uint8_t>(std::min(sum, 255.0F)), row[x], factor);
  }
}

/// How far a box reaches, and the weights of its whole and of its outermost pixels in units of 2^-24.
struct Box1d {
  std::int32_t radius;
  std::uint32_t inner;
  std::uint32_t outer;
};

/// Equations 7, 11 and 14 of Gwosdek et al. for three passes, in Pillow's mixture of fp32 and fp64.
Box1d box_of(float sigma) {
  constexpr int kPasses = 3;
  const float variance = sigma * sigma / kPasses;
  const auto length = static_cast<float>(std::sqrt(12.0 * variance + 1.0));
  const auto whole = static_cast<float>(std::floor((length - 1.0) / 2.0));
  float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
  part /= 6 * (variance - (whole + 1) * (whole + 1));
  const float radius = whole + part;

  constexpr std::uint32_t kUnit = 1U << 24U;
  Box1d box{};
  box.radius = static_cast<std::int32_t>(radius);
  box.inner = static_cast<std::uint32_t>(static_cast<float>(kUnit) / (radius * 2 + 1));
  box.outer = (kUnit - static_cast<std::uint32_t>(box.radius * 2 + 1) * box.inner) / 2;
  return box;
}

/// Down the columns of a plane, every column at once; beyond the ends the first and the last row go on.
void blur_columns(const std::uint8_t* source, std::int32_t side, const Box1d& box, std::uint32_t* sums,
                  std::uint8_t* target) {
  const auto row = [&](std::int32_t y) {
    return source + static_cast<std::int64_t>(std::clamp(y, 0, side - 1)) * side;
  };
  std::fill(sums, sums + side, 0U);
  for (std::int32_t y = -box.radius - 1; y < box.radius; ++y) {
    for (std::int32_t x = 0; x < side; ++x) {
      sums[x] += row(y)[x];
    }
  }
  for (std::int32_t y = 0; y < side; ++y) {
    const std::uint8_t* const leaving = row(y - box.radius - 1);
    const std::uint8_t* const entering = row(y + box.radius);
    const std::uint8_t* const next = row(y + box.radius + 1);
    for (std::int32_t x = 0; x < side; ++x) {
      sums[x] += entering[x];
      sums[x] -= leaving[x];
      const std::uint32_t outer = std::uint32_t{leaving[x]} + next[x];
      target[x] = static_cast<std::uint8_t>((sums[x] * box.inner + outer * box.outer + (1U << 23U)) >> 24U);
    }
    target += side;
  }
}

void transpose(const std::uint8_t* source, std::int32_t side, std::uint8_t* target) {
  for (std::int32_t y = 0; y < side; ++y) {
    for (std::int32_t x = 0; x < side; ++x) {
      target[static_cast<std::int64_t>(x) * side + y] = source[static_cast<std::int64_t>(y) * side + x];
    }
  }
}

}  // namespace

void change_color(const Picture& picture, float factor) {
  blend_with_grey(picture.plane(0), picture.plane(1), picture.plane(2), picture.plane_bytes(), factor);
}

void change_sharpness(const Picture& picture, float factor, Scratch& scratch) {
  scratch.assign(picture.pixels, picture.pixels + kChannels * picture.plane_bytes());
  for (std::size_t channel = 0; channel < kChannels; ++channel) {
    const std::uint8_t* row = scratch.data() + channel * picture.plane_bytes();
    std::uint8_t* out = picture.plane(channel);
    for (std::int32_t y = 1; y < picture.side - 1; ++y) {
      row += picture.side;
      out += picture.side;
      sharpen_row(row - picture.side, row, row + picture.side, picture.side, factor, out);
    }
  }
}

void gaussian_blur(const Picture& picture, float radius, Scratch& scratch) {
  const Box1d box = box_of(radius);
  const std::size_t size = picture.plane_bytes();
  const auto side = static_cast<std::size_t>(picture.side);
  std::vector<std::uint32_t> sums(side);
  scratch.resize(size);
  std::uint8_t* const other = scratch.data();
  for (std::size_t channel = 0; channel < kChannels; ++channel) {
    std::uint8_t* const plane = picture.plane(channel);
    // Pillow blurs the rows first. Three passes each way, the last of which ends in the plane again.
    transpose(plane, picture.side, other);
    blur_columns(other, picture.side, box, sums.data(), plane);
    blur_columns(plane, picture.side, box, sums.data(), other);
    blur_columns(other, picture.side, box, sums.data(), plane);
    transpose(plane, picture.side, other);
    blur_columns(other, picture.side, box, sums.data(), plane);
    blur_columns(plane, picture.side, box, sums.data(), other);
    blur_columns(other, picture.side, box, sums.data(), plane);
  }
}

}  // namespace tessera::data

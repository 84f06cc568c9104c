#pragma once

#include "tessera/core/philox.hpp"

#include <cmath>
#include <cstdint>

// Elements 4c .. 4c+3 of a random tensor, for CPU and CUDA alike. No ATen here: nvcc compiles it.

namespace tessera::kernels::random_fill {

/// What is filled with what. An element of the fill is float(offset + scale * draw), rounded on to the tensor's type;
/// where that reaches `limit`, it is `below_limit` instead (uniform numbers, whose interval is open above).
struct Affine {
  double offset;
  double scale;
  double limit;
  float below_limit;
};

struct Draws {
  double value[4];
};

struct Uniform {
  static TESSERA_HOST_DEVICE Draws draw(std::uint64_t key, std::int64_t counter) {
    const core::Philox4 words = core::philox(key, static_cast<std::uint64_t>(counter), 0);
    Draws draws{};
    for (int i = 0; i < 4; ++i) {
      draws.value[i] = static_cast<double>(core::uniform_float(words.value[i]));
    }
    return draws;
  }
};

/// Box-Muller in fp64, so that the functions of different libraries, which differ in the last bit, seldom differ in
/// fp32.
struct Normal {
  static TESSERA_HOST_DEVICE Draws draw(std::uint64_t key, std::int64_t counter) {
    const core::Philox4 words = core::philox(key, static_cast<std::uint64_t>(counter), 0);
    Draws draws{};
    for (int i = 0; i < 4; i += 2) {
      const double radius_uniform = (static_cast<double>(words.value[i]) + 1) * 0x1p-32;  // in (0, 1]
      const double turn = static_cast<double>(words.value[i + 1]) * 0x1p-32;              // in [0, 1)
      const double radius = std::sqrt(-2 * std::log(radius_uniform));
      constexpr double kTwoPi = 6.283185307179586476925;
      draws.value[i] = radius * std::cos(kTwoPi * turn);
      draws.value[i + 1] = radius * std::sin(kTwoPi * turn);
    }
    return draws;
  }
};

TESSERA_HOST_DEVICE inline float scaled(const Affine& affine, double draw) {
  return static_cast<float>(std::fma(affine.scale, draw, affine.offset));  // fused on every machine, or on none
}

}  // namespace tessera::kernels::random_fill

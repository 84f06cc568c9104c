#include "kernels/random_fill/arguments.hpp"

#include "kernels/checks.hpp"
#include "tessera/core/error.hpp"

#include <ATen/core/Tensor.h>

#include <bit>
#include <cmath>
#include <limits>

namespace tessera::kernels::random_fill {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The greatest number of the type that is less than `limit`.
float greatest_below(double limit, at::ScalarType type) {
  auto value = static_cast<float>(limit);
  if (type == at::kFloat) {
    return static_cast<double>(value) < limit ? value : std::nextafter(value, -kInfinity);
  }
  value = static_cast<float>(c10::BFloat16(value));
  // One step down in bf16 is 2^16 fp32 steps in the magnitude's bits; below zero comes the least negative number.
  constexpr std::uint32_t kStep = 1U << 16U;
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const float below = value > 0 ? std::bit_cast<float>(bits - kStep)
                                : std::bit_cast<float>(value == 0 ? 0x80000000U + kStep : bits + kStep);
  return static_cast<double>(value) < limit ? value : below;
}

}  // namespace

void check(const at::Tensor& flat, const RandomStream& stream) {
  Check("random_fill", "flat", flat).is_float().is_contiguous();
  core::require(stream.first_element >= 0, "kernels", "random_fill: the first element is {}", stream.first_element);
}

Affine normal_affine(double mean, double std) { return {mean, std, std::numeric_limits<double>::infinity(), 0}; }

Affine uniform_affine(double low, double high, at::ScalarType type) {
  core::require(low < high, "kernels", "random_fill: no numbers are in [{}, {})", low, high);
  return {low, high - low, high, greatest_below(high, type)};
}

}  // namespace tessera::kernels::random_fill

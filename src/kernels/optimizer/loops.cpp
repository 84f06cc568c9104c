#include "kernels/optimizer/loops.hpp"

#include <array>
#include <bit>
#include <cmath>

// Compiled with -ffp-contract=off -fno-math-errno (src/CMakeLists.txt): products stay rounded, and square roots need not
// report errors and so become vector instructions.

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define TESSERA_VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TESSERA_VECTOR_CLONES
#endif

namespace tessera::kernels::optimizer {
namespace {

[[gnu::always_inline]] inline float to_float(float value) { return value; }

[[gnu::always_inline]] inline float to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

/// To nearest, ties to even; without a branch, so that it becomes vector instructions.
[[gnu::always_inline]] inline std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U;
  return static_cast<std::uint16_t>((bits & 0x7FFFFFFFU) > 0x7F800000U ? 0x7FC0U : rounded);
}

template <bool kHasWeight, class Gradient>
[[gnu::always_inline]] inline void update(const AdamWRange& range, const Gradient* gradient,
                                          const AdamWConstants& constants) {
  std::uint16_t* __restrict weight = range.weight;
  float* __restrict master = range.master;
  float* __restrict exp_avg = range.exp_avg;
  float* __restrict exp_avg_sq = range.exp_avg_sq;
  const Gradient* __restrict source = gradient;
  const AdamWConstants c = constants;
  for (std::int64_t i = 0; i < range.size; ++i) {
    const AdamWElement e = adamw_update({master[i], exp_avg[i], exp_avg_sq[i]}, to_float(source[i]), c);
    master[i] = e.parameter;
    exp_avg[i] = e.exp_avg;
    exp_avg_sq[i] = e.exp_avg_sq;
    if constexpr (kHasWeight) {
      weight[i] = to_bf16(e.parameter);
    }
  }
}

template <class T>
[[gnu::always_inline]] inline double sum(const T* values, std::int64_t size) {
  constexpr std::int64_t kLanes = 16;
  std::array<double, kLanes> lanes{};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      const double value = to_float(values[i + lane]);
      lanes[static_cast<std::size_t>(lane)] += value * value;
    }
  }
  double total = 0;
  for (; i < size; ++i) {
    const double value = to_float(values[i]);
    total += value * value;
  }
  for (const double lane : lanes) {
    total += lane;
  }
  return total;
}

}  // namespace

TESSERA_VECTOR_CLONES void adamw_range(const AdamWRange& range, const float* gradient,
                                       const AdamWConstants& constants) {
  if (range.weight == nullptr) {
    update<false>(range, gradient, constants);
  } else {
    update<true>(range, gradient, constants);
  }
}

TESSERA_VECTOR_CLONES void adamw_range(const AdamWRange& range, const std::uint16_t* gradient,
                                       const AdamWConstants& constants) {
  if (range.weight == nullptr) {
    update<false>(range, gradient, constants);
  } else {
    update<true>(range, gradient, constants);
  }
}

TESSERA_VECTOR_CLONES double sum_of_squares(const float* values, std::int64_t size) { return sum(values, size); }

TESSERA_VECTOR_CLONES double sum_of_squares(const std::uint16_t* values, std::int64_t size) {
  return sum(values, size);
}

}  // namespace tessera::kernels::optimizer

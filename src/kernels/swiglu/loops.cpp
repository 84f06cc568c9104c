#include "kernels/swiglu/loops.hpp"

#include "tessera/core/vector_clones.hpp"

#include <bit>

// The formulas are derived in reference.cpp. std::exp would be a call per element; this one becomes vector
// instructions.

namespace tessera::kernels::swiglu {
namespace {

/// e^x to 2 units in the last place for |x| < 87, and clamped there: n = round(x / ln 2), and on the rest r, with
/// |r| <= ln 2 / 2, the Taylor series to r^7 (remainder below r^8 / 8! = 5e-9).
[[gnu::always_inline]] inline float exponential(float x) {
  constexpr float kLog2E = 1.44269504F;
  constexpr float kLn2High = 0.693359375F;  // few bits, so that n times it is exact
  constexpr float kLn2Low = -2.12194440e-4F;
  constexpr float kRound = 12582912.0F;          // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  const float raised = x < -87.0F ? -87.0F : x;  // a NaN passes
  const float clamped = raised > 87.0F ? 87.0F : raised;
  const float shifted = clamped * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float series = 1.0F / 5040;
  series = series * r + 1.0F / 720;
  series = series * r + 1.0F / 120;
  series = series * r + 1.0F / 24;
  series = series * r + 1.0F / 6;
  series = series * r + 0.5F;
  series = series * r + 1;
  series = series * r + 1;
  const auto power = (std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kRound)) << 23U;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(series) + power);
}

[[gnu::always_inline]] inline float sigmoid(float x) { return 1 / (1 + exponential(-x)); }

}  // namespace

TESSERA_VECTOR_CLONES void forward_row(const float* gate, const float* up, float* y, std::int64_t num_features) {
  const float* __restrict gates = gate;
  const float* __restrict ups = up;
  float* __restrict out = y;
  for (std::int64_t i = 0; i < num_features; ++i) {
    out[i] = gates[i] * sigmoid(gates[i]) * ups[i];
  }
}

TESSERA_VECTOR_CLONES void backward_row(const BackwardRow& row, std::int64_t num_features) {
  float* __restrict dys = row.dy;
  float* __restrict gates = row.gate;
  float* __restrict ups = row.up;
  for (std::int64_t i = 0; i < num_features; ++i) {
    const float dy = dys[i];
    const float gate = gates[i];
    const float up = ups[i];
    const float s = sigmoid(gate);
    dys[i] = gate * s * up;
    gates[i] = dy * up * (s * (1 + gate * (1 - s)));
    ups[i] = dy * gate * s;
  }
}

}  // namespace tessera::kernels::swiglu

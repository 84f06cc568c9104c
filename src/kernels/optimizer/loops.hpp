#pragma once

#include "kernels/optimizer/adamw_element.hpp"
#include "kernels/optimizer/moment_pointers.hpp"
#include "kernels/optimizer/momentum_element.hpp"
#include "kernels/optimizer/parameter_pointers.hpp"
#include "kernels/optimizer/stochastic_rounding.hpp"

#include <array>
#include <cstdint>

// The vectorised loops of the CPU: raw pointers, one thread, compiled for several instruction sets, of which the
// program loader takes the best that the machine has. bf16 is passed as its bits.

namespace tessera::kernels::optimizer {

struct AdamWRange {
  ParameterPointers parameter;
  MomentPointers exp_avg;
  MomentPointers exp_avg_sq;  ///< of the same type
  RoundingBits bits;
  std::int64_t size;
};

void adamw_range(const AdamWRange& range, const float* gradient, const AdamWConstants& constants);
void adamw_range(const AdamWRange& range, const std::uint16_t* gradient, const AdamWConstants& constants);

struct MomentumRange {
  ParameterPointers parameter;
  MomentPointers buffer;
  RoundingBits bits;
  std::int64_t size;
};

void momentum_range(const MomentumRange& range, const float* gradient, const MomentumConstants& constants);
void momentum_range(const MomentumRange& range, const std::uint16_t* gradient, const MomentumConstants& constants);

void average_range(const ParameterPointers& parameter, float* average, float share, std::int64_t size);

/// [sum of p^2, sum of p g, sum of g^2] in fp64, in an order that depends on `size` alone.
using TrustSums = std::array<double, 3>;
TrustSums trust_sums(const ParameterPointers& parameter, const float* gradient, std::int64_t size);
TrustSums trust_sums(const ParameterPointers& parameter, const std::uint16_t* gradient, std::int64_t size);

/// destination += source.
void accumulate_range(float* destination, const float* source, std::int64_t size);
void accumulate_range(float* destination, const std::uint16_t* source, std::int64_t size);

/// In fp64, in an order that depends on `size` alone.
double sum_of_squares(const float* values, std::int64_t size);
double sum_of_squares(const std::uint16_t* values, std::int64_t size);

}  // namespace tessera::kernels::optimizer

#pragma once

#include "tessera/core/split_float.hpp"

#include <cstdint>

// No ATen here: nvcc compiles it.

namespace tessera::kernels::optimizer {

/// Where a Parameter lies: `whole`, or `high` and `low`; the others are null.
struct ParameterPointers {
  float* whole;         ///< fp32
  std::uint16_t* high;  ///< bf16's bits
  std::uint16_t* low;

  [[nodiscard]] TESSERA_HOST_DEVICE constexpr bool is_split() const { return whole == nullptr; }

  [[nodiscard]] TESSERA_HOST_DEVICE constexpr ParameterPointers from(std::int64_t element) const {
    return is_split() ? ParameterPointers{nullptr, high + element, low + element}
                      : ParameterPointers{whole + element, nullptr, nullptr};
  }
};

}  // namespace tessera::kernels::optimizer

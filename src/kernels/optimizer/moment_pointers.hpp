#pragma once

#include "tessera/core/dtype.hpp"
#include "tessera/core/scale_blocks.hpp"

#include <cstdint>

// No ATen here: nvcc compiles it.

namespace tessera::kernels::optimizer {

/// Where a moment's elements lie, and of what type they are.
struct MomentPointers {
  void* values;
  core::DType dtype;        ///< fp32, or bf16 that is rounded stochastically; of codes, what they stand for
  float* scales = nullptr;  ///< where `values` are codes of core::DynamicMap: of their blocks

  [[nodiscard]] bool is_coded() const { return scales != nullptr; }

  /// From an element on: of codes, the first of a block.
  [[nodiscard]] MomentPointers from(std::int64_t element) const {
    const std::size_t element_bytes = is_coded() ? 1 : core::size_of(dtype);
    return {static_cast<std::uint8_t*>(values) + static_cast<std::size_t>(element) * element_bytes, dtype,
            is_coded() ? scales + element / core::kScaleBlock : nullptr};
  }
};

}  // namespace tessera::kernels::optimizer

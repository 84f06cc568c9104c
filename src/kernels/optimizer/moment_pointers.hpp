#pragma once

#include "tessera/core/dtype.hpp"

#include <cstdint>

// No ATen here: nvcc compiles it.

namespace tessera::kernels::optimizer {

/// Where a moment's elements lie, and of what type they are.
struct MomentPointers {
  void* values;
  core::DType dtype;  ///< fp32, or bf16 that is rounded stochastically

  [[nodiscard]] MomentPointers from(std::int64_t element) const {
    return {static_cast<std::uint8_t*>(values) + static_cast<std::size_t>(element) * core::size_of(dtype), dtype};
  }
};

}  // namespace tessera::kernels::optimizer

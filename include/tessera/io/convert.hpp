#pragma once

#include "tessera/core/dtype.hpp"

#include <cstddef>
#include <cstdint>

namespace tessera::io {

/// fp32 of the IEEE half with these bits: exact, subnormals, infinities and NaN included.
float fp16_to_float(std::uint16_t bits);

/// Copies `count` elements from one type to another: exact where the target holds every value of the source, else
/// rounded once to the nearest, ties to even. Neither pointer needs alignment. Throws Error for fp16 as the target of
/// another type, which nothing here writes.
void convert_elements(core::DType from, const void* source, core::DType to, void* target, std::size_t count);

}  // namespace tessera::io

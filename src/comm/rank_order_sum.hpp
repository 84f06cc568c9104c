#pragma once

#include "tessera/core/dtype.hpp"

#include <cstddef>
#include <vector>

namespace tessera::comm {

/// result[i] = parts[0][i] + parts[1][i] + ... in that order, in fp32, rounded once to `dtype` (fp32 or bf16).
/// `result` may be one of the parts.
void rank_order_sum(const std::vector<const void*>& parts, std::size_t count, core::DType dtype, void* result);

}  // namespace tessera::comm

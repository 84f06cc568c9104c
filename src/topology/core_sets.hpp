#pragma once

#include "tessera/topology/placement.hpp"

#include <algorithm>

namespace tessera::topology {

/// Whether the sets have a core in common.
inline bool overlap(const Cores& a, const Cores& b) {
  return std::ranges::any_of(a, [&](int core) { return std::ranges::binary_search(b, core); });
}

}  // namespace tessera::topology

#pragma once

#include <cstdint>
#include <vector>

namespace tessera::checkpoint {

/// A box of an N-dimensional tensor: `count[d]` indices from `start[d]` in every dimension.
struct Slab {
  std::vector<std::int64_t> start;
  std::vector<std::int64_t> count;

  [[nodiscard]] std::int64_t num_elements() const;
};

/// Elements [begin, end), counted row-major over `shape`, as boxes in order: at most 2N - 1, for the rows that the
/// range begins and ends in the middle of, and the whole rows between. The range lies inside and is not empty.
std::vector<Slab> slabs_of_range(const std::vector<std::int64_t>& shape, std::int64_t begin, std::int64_t end);

/// The product of the extents. Throws Error where it overflows or an extent is not positive.
std::int64_t count_elements(const std::vector<std::int64_t>& shape);

}  // namespace tessera::checkpoint

#pragma once

#include "tessera/checkpoint/reader.hpp"

#include <cstdint>

namespace tessera::tools {

/// Of all elements of one tensor, in fp64; those that are not finite are counted and left out of the rest.
struct Statistics {
  std::int64_t num_elements = 0;
  std::int64_t num_not_finite = 0;
  std::int64_t num_zeros = 0;
  double min = 0;
  double max = 0;
  double mean = 0;
  double std = 0;   ///< of the population
  double norm = 0;  ///< L2
};

/// Reads the tensor range by range, and checks it on the way.
Statistics measure(const checkpoint::Reader& reader, const checkpoint::StoredTensor& tensor);

}  // namespace tessera::tools

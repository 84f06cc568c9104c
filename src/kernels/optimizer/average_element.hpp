#pragma once

#include "tessera/core/rounded.hpp"

// The arithmetic of a moving average for one element, for the CPU loop and the CUDA kernel alike. No ATen here: nvcc
// compiles it.

namespace tessera::kernels::optimizer {

/// `share` is 1 - decay, computed in fp64 and rounded once.
TESSERA_ELEMENT_FUNCTION float updated_average(float average, float parameter, float share) {
  return average + core::rounded_product(parameter - average, share);
}

}  // namespace tessera::kernels::optimizer

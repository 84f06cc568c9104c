#pragma once

#include "tessera/core/rounded.hpp"

// The arithmetic of SGD with momentum for one element, for the CPU loop and the CUDA kernel alike. No ATen here: nvcc
// compiles it.

namespace tessera::kernels::optimizer {

/// The scalars of one step, computed in fp64 and rounded once.
struct MomentumConstants {
  float gradient_scale;
  float weight_decay;
  float trust_ratio;
  float momentum;
  float lr;
};

struct MomentumElement {
  float parameter;
  float buffer;
};

/// One rounded fp32 operation after the other, so that every implementation gives the same bits.
TESSERA_ELEMENT_FUNCTION MomentumElement momentum_update(MomentumElement e, float raw_gradient,
                                                         const MomentumConstants& c) {
  float change = core::rounded_product(raw_gradient, c.gradient_scale);
  change += core::rounded_product(e.parameter, c.weight_decay);
  change = core::rounded_product(change, c.trust_ratio);
  e.buffer = core::rounded_product(e.buffer, c.momentum) + change;
  e.parameter -= core::rounded_product(e.buffer, c.lr);
  return e;
}

}  // namespace tessera::kernels::optimizer

#pragma once

#include "kernels/random_fill/random_element.hpp"
#include "tessera/kernels/random_fill.hpp"

// What every implementation demands of its arguments, and the numbers that it computes with.

namespace tessera::kernels::random_fill {

void check(const at::Tensor& flat, const RandomStream& stream);

Affine normal_affine(double mean, double std);
/// `type` decides what the greatest number below `high` is.
Affine uniform_affine(double low, double high, at::ScalarType type);

}  // namespace tessera::kernels::random_fill

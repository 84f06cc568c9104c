#pragma once

#include <cstdint>

// The vectorised loops of the CPU over one fp32 row.

namespace tessera::kernels::swiglu {

void forward_row(const float* gate, const float* up, float* y, std::int64_t num_features);

/// In place: dy becomes y, gate and up their gradients.
struct BackwardRow {
  float* dy;
  float* gate;
  float* up;
};
void backward_row(const BackwardRow& row, std::int64_t num_features);

}  // namespace tessera::kernels::swiglu

#pragma once

#include <cstdint>

// The vectorised loops of the CPU over one fp32 row.

namespace tessera::kernels::swiglu {

void forward_row(const float* gate, const float* up, float* y, std::int64_t num_features);

struct BackwardRow {
  const float* dy;
  const float* gate;
  const float* up;
  float* dgate;
  float* dup;
};
void backward_row(const BackwardRow& row, std::int64_t num_features);

}  // namespace tessera::kernels::swiglu

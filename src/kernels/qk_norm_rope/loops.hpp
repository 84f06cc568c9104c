#pragma once

#include <cstdint>

// The vectorised loops of the CPU over the fp32 heads of one token that share a weight.

namespace tessera::kernels::qk_norm_rope {

/// E = head_dim elements a head; the angles of this token, E/2 of each.
struct Rotation {
  const float* cos;
  const float* sin;
};

struct ForwardHeads {
  const float* x;  ///< heads side by side
  const float* weight;
  Rotation rotation;
  float* y;  ///< heads side by side
  std::int64_t num_heads;
  std::int64_t head_dim;
  float eps;
};
void forward_heads(const ForwardHeads& heads);

struct BackwardHeads {
  const float* dy;
  std::int64_t dy_stride;  ///< from head to head
  const float* x;
  const float* weight;
  Rotation rotation;
  float* dx;
  float* dweight;  ///< added to
  std::int64_t num_heads;
  std::int64_t head_dim;
  float eps;
};
void backward_heads(const BackwardHeads& heads);

}  // namespace tessera::kernels::qk_norm_rope

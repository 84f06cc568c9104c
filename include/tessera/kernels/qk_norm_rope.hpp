#pragma once

#include "tessera/kernels/gradient.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>

// Shapes: B images, T tokens, N = B*T rows, H query heads, K key/value heads, E elements a head, C = (H + 2K) E.
// The packed projection qkv_NC holds [q: H*E | k: K*E | v: K*E] in each row.

namespace tessera::kernels {

struct HeadShape {
  std::int64_t batch = 0;
  std::int64_t tokens = 0;
  std::int64_t query_heads = 0;
  std::int64_t key_heads = 0;
  std::int64_t head_dim = 0;  ///< even
};

/// Rotary tables: angle[t][i] = t * theta^(-2i/E) for i < E/2, fp32. (Su et al. 2021)
struct RotaryTable {
  at::Tensor cos_TE2;
  at::Tensor sin_TE2;
};

struct QueryKey {
  at::Tensor q_BTHE;  ///< contiguous
  at::Tensor k_BTKE;  ///< contiguous
};

/// RMSNorm over every head of q and k with weights of E elements, then rotation of the halves (x1, x2) ->
/// (x1 cos - x2 sin, x2 cos + x1 sin) where x1 = x[0..E/2), x2 = x[E/2..E). fp32 arithmetic, rounded once. v is left
/// alone.
using QkNormRopeForward = QueryKey(const at::Tensor& qkv_NC, const at::Tensor& q_weight_E, const at::Tensor& k_weight_E,
                                   const RotaryTable& rotary, const HeadShape& shape, double eps);

struct QkNormRopeGradients {
  GradientTarget q_weight;
  GradientTarget k_weight;
};

/// The gradient of the packed projection, dqkv_NC: of q and k through rotation and norm, of v copied from dv_BTKE.
/// dq_BTHE, dk_BTKE and dv_BTKE may be strided, with the last dimension contiguous.
using QkNormRopeBackward = at::Tensor(const at::Tensor& dq_BTHE, const at::Tensor& dk_BTKE, const at::Tensor& dv_BTKE,
                                      const at::Tensor& qkv_NC, const at::Tensor& q_weight_E,
                                      const at::Tensor& k_weight_E, const RotaryTable& rotary, const HeadShape& shape,
                                      double eps, const QkNormRopeGradients& weight_gradients);

/// The table for `tokens` positions on the CPU: evaluated in fp64, rounded to fp32.
RotaryTable make_rotary_table(std::int64_t tokens, std::int64_t head_dim, double theta);

namespace reference {
QkNormRopeForward qk_norm_rope_forward;
QkNormRopeBackward qk_norm_rope_backward;
}  // namespace reference

/// fp32 in one pass with vector instructions, on all of the rank's threads; bf16 as reference::.
namespace cpu {
QkNormRopeForward qk_norm_rope_forward;
QkNormRopeBackward qk_norm_rope_backward;
}  // namespace cpu

namespace cuda {
QkNormRopeForward qk_norm_rope_forward;
QkNormRopeBackward qk_norm_rope_backward;
}  // namespace cuda

}  // namespace tessera::kernels

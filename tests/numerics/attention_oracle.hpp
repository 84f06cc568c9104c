#pragma once

#include <ATen/core/Tensor.h>

// Attention by LibTorch's autograd of scaled_dot_product_attention's own formula in fp64, and bounds for the errors of
// an implementation. Shapes: B images, T tokens, H query heads, K key/value heads, E elements a head.

namespace tessera::test {

struct AttentionInputs {
  at::Tensor q_BTHE, k_BTKE, v_BTKE, dout_BTHE;
};

/// The result in fp64, and bounds for an implementation that gets q and k with a relative error of `inputs_error`.
struct AttentionOracle {
  at::Tensor out_BTHE, dq_BTHE, dk_BTKE, dv_BTKE, logsumexp_BHT;
  at::Tensor out_bound, dq_bound, dk_bound, dv_bound, logsumexp_bound;

  explicit AttentionOracle(const AttentionInputs& in, double inputs_error = 0);

 private:
  void set_bounds(const AttentionInputs& in, double inputs_error);
};

}  // namespace tessera::test

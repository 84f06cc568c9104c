#pragma once

#include "tessera/kernels/ops.hpp"

namespace tessera::kernels::self_attention {

/// The values inside the packed projection, [B, T, K, E], strided.
at::Tensor values(const SelfAttentionInputs& in);

/// q, k and v by `ops`' qk_norm_rope, then its attention.
AttentionResult forward_one_by_one(const Ops& ops, const SelfAttentionInputs& in);
at::Tensor backward_one_by_one(const Ops& ops, const at::Tensor& dout_BTHE, const SelfAttentionInputs& in,
                               const AttentionResult& forward, const QkNormRopeGradients& weight_gradients);

}  // namespace tessera::kernels::self_attention

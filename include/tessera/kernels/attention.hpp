#pragma once

#include <ATen/core/Tensor.h>

// Shapes: B images, T tokens, H query heads, K key/value heads (H is a multiple of K; query head h reads key head
// h / (H/K)), E elements a head.

namespace tessera::kernels {

struct AttentionResult {
  at::Tensor out_BTHE;
  at::Tensor logsumexp_BHT;  ///< fp32; opaque to callers, who only hand it back
};

struct AttentionGradients {
  at::Tensor dq_BTHE;
  at::Tensor dk_BTKE;
  at::Tensor dv_BTKE;
};

/// Causal attention softmax(q k^T / sqrt(E)) v. q and k are contiguous; v may be strided with its last dimension
/// contiguous. Softmax in fp32.
using AttentionForward = AttentionResult(const at::Tensor& q_BTHE, const at::Tensor& k_BTKE, const at::Tensor& v_BTKE);

using AttentionBackward = AttentionGradients(const at::Tensor& dout_BTHE, const at::Tensor& q_BTHE,
                                             const at::Tensor& k_BTKE, const at::Tensor& v_BTKE,
                                             const AttentionResult& forward);

namespace reference {
AttentionForward attention_forward;
AttentionBackward attention_backward;
}  // namespace reference

namespace cuda {
AttentionForward attention_forward;
AttentionBackward attention_backward;
}  // namespace cuda

}  // namespace tessera::kernels

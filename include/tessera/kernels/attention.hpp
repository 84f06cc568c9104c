#pragma once

#include <ATen/core/Tensor.h>

// Shapes: B images, T tokens, H query heads, K key/value heads (H is a multiple of K; query head h reads key head
// h / (H/K)), E elements a head.

namespace tessera::kernels {

/// What backward needs again; all but `out_BTHE` is for the implementation that made it alone.
struct AttentionResult {
  at::Tensor out_BTHE;
  at::Tensor logsumexp_BHT;  ///< fp32
  at::Tensor philox_seed;    ///< cuDNN's, for a dropout that is 0; undefined elsewhere
  at::Tensor philox_offset;  ///< its companion
};

struct AttentionGradients {
  at::Tensor dq_BTHE;
  at::Tensor dk_BTKE;
  at::Tensor dv_BTKE;
};

/// Causal attention softmax(q k^T / sqrt(E)) v. q and k are contiguous; v may be strided with its last dimension
/// contiguous, and so may dout. Softmax in fp32. The results are contiguous.
using AttentionForward = AttentionResult(const at::Tensor& q_BTHE, const at::Tensor& k_BTKE, const at::Tensor& v_BTKE);

using AttentionBackward = AttentionGradients(const at::Tensor& dout_BTHE, const at::Tensor& q_BTHE,
                                             const at::Tensor& k_BTKE, const at::Tensor& v_BTKE,
                                             const AttentionResult& forward);

namespace reference {
AttentionForward attention_forward;
AttentionBackward attention_backward;
}  // namespace reference

/// bf16: cuDNN's fused attention (flash attention for Hopper; it reads shared key heads where they are), its backward
/// in the deterministic order. What that has no kernels for is reference:: on the GPU: fp32, a lone token, and heads
/// that are no multiple of 8 elements or longer than 128.
namespace cuda {
AttentionForward attention_forward;
AttentionBackward attention_backward;
}  // namespace cuda

}  // namespace tessera::kernels

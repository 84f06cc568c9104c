#pragma once

#include "tessera/kernels/attention.hpp"
#include "tessera/kernels/qk_norm_rope.hpp"

// Shapes: B images, T tokens, N = B*T rows, H query heads, K key/value heads, E elements a head, C = (H + 2K) E.

namespace tessera::kernels {

/// qk_norm_rope and attention, from one packed projection [q | k | v] a row.
struct SelfAttentionInputs {
  at::Tensor qkv_NC;
  at::Tensor q_weight_E;
  at::Tensor k_weight_E;
  const RotaryTable& rotary;
  HeadShape shape;
  double eps;
};

using SelfAttentionForward = AttentionResult(const SelfAttentionInputs& in);

/// Returns dqkv_NC; the gradients of the two norms' weights go to `weight_gradients`. `forward` is what
/// self_attention_forward of the same implementation gave for `in`; its out_BTHE may be overwritten.
using SelfAttentionBackward = at::Tensor(const at::Tensor& dout_BTHE, const SelfAttentionInputs& in,
                                         const AttentionResult& forward, const QkNormRopeGradients& weight_gradients);

/// One op after the other.
namespace reference {
SelfAttentionForward self_attention_forward;
SelfAttentionBackward self_attention_backward;
}  // namespace reference

namespace cpu {
SelfAttentionForward self_attention_forward;
SelfAttentionBackward self_attention_backward;
}  // namespace cpu

/// bf16 heads of 128 elements and at most 256 tokens (an image of 224 pixels has 196) on a Hopper GPU: one kernel each.
/// Everything else: one op after the other.
namespace cuda {
SelfAttentionForward self_attention_forward;
SelfAttentionBackward self_attention_backward;
}  // namespace cuda

}  // namespace tessera::kernels

#include "kernels/self_attention/one_by_one.hpp"

#include "kernels/cpu_ops.hpp"

namespace tessera::kernels {
namespace self_attention {
namespace {

QueryKey queries_and_keys(const Ops& ops, const SelfAttentionInputs& in) {
  return ops.qk_norm_rope_forward(in.qkv_NC, in.q_weight_E, in.k_weight_E, in.rotary, in.shape, in.eps);
}

}  // namespace

at::Tensor values(const SelfAttentionInputs& in) {
  const HeadShape& shape = in.shape;
  return in.qkv_NC.narrow(1, (shape.query_heads + shape.key_heads) * shape.head_dim, shape.key_heads * shape.head_dim)
      .view({shape.batch, shape.tokens, shape.key_heads, shape.head_dim});
}

AttentionResult forward_one_by_one(const Ops& ops, const SelfAttentionInputs& in) {
  const auto [q_BTHE, k_BTKE] = queries_and_keys(ops, in);
  return ops.attention_forward(q_BTHE, k_BTKE, values(in));
}

at::Tensor backward_one_by_one(const Ops& ops, const at::Tensor& dout_BTHE, const SelfAttentionInputs& in,
                               const AttentionResult& forward, const QkNormRopeGradients& weight_gradients) {
  const auto [q_BTHE, k_BTKE] = queries_and_keys(ops, in);
  const auto [dq_BTHE, dk_BTKE, dv_BTKE] = ops.attention_backward(dout_BTHE, q_BTHE, k_BTKE, values(in), forward);
  return ops.qk_norm_rope_backward(dq_BTHE, dk_BTKE, dv_BTKE, in.qkv_NC, in.q_weight_E, in.k_weight_E, in.rotary,
                                   in.shape, in.eps, weight_gradients);
}

}  // namespace self_attention

namespace reference {

AttentionResult self_attention_forward(const SelfAttentionInputs& in) {
  return self_attention::forward_one_by_one(reference_ops(), in);
}

at::Tensor self_attention_backward(const at::Tensor& dout_BTHE, const SelfAttentionInputs& in,
                                   const AttentionResult& forward, const QkNormRopeGradients& weight_gradients) {
  return self_attention::backward_one_by_one(reference_ops(), dout_BTHE, in, forward, weight_gradients);
}

}  // namespace reference

namespace cpu {

AttentionResult self_attention_forward(const SelfAttentionInputs& in) {
  return self_attention::forward_one_by_one(cpu_ops(), in);
}

at::Tensor self_attention_backward(const at::Tensor& dout_BTHE, const SelfAttentionInputs& in,
                                   const AttentionResult& forward, const QkNormRopeGradients& weight_gradients) {
  return self_attention::backward_one_by_one(cpu_ops(), dout_BTHE, in, forward, weight_gradients);
}

}  // namespace cpu

}  // namespace tessera::kernels

#include "model/block.hpp"

#include "model/linear.hpp"

#include <ATen/ops/mm.h>

namespace tessera::model {

kernels::HeadShape Block::head_shape(const at::Tensor& x_ND, std::int64_t batch) const {
  return {batch, x_ND.size(0) / batch, shape_.num_attention_heads, shape_.num_key_value_heads, shape_.head_dim};
}

at::Tensor Block::values(const at::Tensor& qkv_NC, const kernels::HeadShape& heads) const {
  return qkv_NC.narrow(1, shape_.query_size() + shape_.key_size(), shape_.key_size())
      .view({heads.batch, heads.tokens, heads.key_heads, heads.head_dim});
}

kernels::QueryKey Block::queries_and_keys(const at::Tensor& qkv_NC, const kernels::HeadShape& heads,
                                          Weights& weights) const {
  return ops_.qk_norm_rope_forward(qkv_NC, weights.weight(units_.q_norm), weights.weight(units_.k_norm), rotary_, heads,
                                   shape_.rms_norm_eps);
}

BlockActivations Block::activations(const at::Tensor& x_ND, std::int64_t batch, Weights& weights) const {
  const kernels::HeadShape heads = head_shape(x_ND, batch);
  BlockActivations made;
  made.input_ND = x_ND;
  const auto input = ops_.rms_norm_forward(x_ND, weights.weight(units_.input_norm), shape_.rms_norm_eps);
  made.input_rstd_N = input.rstd_N;
  made.qkv_NC = apply_linear(input.y_ND, weights.weight(units_.qkv));
  const auto [q_BTHE, k_BTKE] = queries_and_keys(made.qkv_NC, heads, weights);
  made.attention = ops_.attention_forward(q_BTHE, k_BTKE, values(made.qkv_NC, heads));
  const at::Tensor attended_NHE = made.attention.out_BTHE.reshape({x_ND.size(0), shape_.query_size()});
  made.middle_ND = apply_linear_onto(x_ND, attended_NHE, weights.weight(units_.o_proj));

  const auto middle = ops_.rms_norm_forward(made.middle_ND, weights.weight(units_.post_norm), shape_.rms_norm_eps);
  made.middle_rstd_N = middle.rstd_N;
  made.gate_up_N2F = apply_linear(middle.y_ND, weights.weight(units_.gate_up));
  return made;
}

at::Tensor Block::output(const BlockActivations& made, Weights& weights) const {
  return apply_linear_onto(made.middle_ND, ops_.swiglu_forward(made.gate_up_N2F), weights.weight(units_.down));
}

at::Tensor Block::backward(const at::Tensor& dy_ND, std::int64_t batch, BlockActivations& kept, Weights& weights,
                           Gradients& gradients) const {
  const at::Tensor dmiddle_ND = feed_forward_backward(dy_ND, kept, weights, gradients);
  return attention_backward(dmiddle_ND, batch, kept, weights, gradients);
}

at::Tensor Block::feed_forward_backward(const at::Tensor& dy_ND, BlockActivations& kept, Weights& weights,
                                        Gradients& gradients) const {
  linear_weight_gradient(dy_ND, ops_.swiglu_forward(kept.gate_up_N2F), units_.down, gradients);
  const at::Tensor dgate_up_N2F = ops_.swiglu_backward(at::mm(dy_ND, weights.weight(units_.down)), kept.gate_up_N2F);
  kept.gate_up_N2F.reset();

  const at::Tensor norm_weight = weights.weight(units_.post_norm);
  const auto middle = ops_.rms_norm_forward(kept.middle_ND, norm_weight, shape_.rms_norm_eps);
  linear_weight_gradient(dgate_up_N2F, middle.y_ND, units_.gate_up, gradients);
  const at::Tensor dnormed_ND = at::mm(dgate_up_N2F, weights.weight(units_.gate_up));
  at::Tensor dmiddle_ND = ops_.rms_norm_backward(dnormed_ND, kept.middle_ND, norm_weight, kept.middle_rstd_N, dy_ND,
                                                 gradients.target(units_.post_norm));
  gradients.ready(units_.post_norm);
  kept.middle_ND.reset();
  return dmiddle_ND;
}

at::Tensor Block::attention_backward(const at::Tensor& dmiddle_ND, std::int64_t batch, BlockActivations& kept,
                                     Weights& weights, Gradients& gradients) const {
  const kernels::HeadShape heads = head_shape(dmiddle_ND, batch);
  const at::Tensor attended_NHE = kept.attention.out_BTHE.reshape({dmiddle_ND.size(0), shape_.query_size()});
  linear_weight_gradient(dmiddle_ND, attended_NHE, units_.o_proj, gradients);
  const at::Tensor dattended_BTHE = at::mm(dmiddle_ND, weights.weight(units_.o_proj))
                                        .view({heads.batch, heads.tokens, heads.query_heads, heads.head_dim});
  const auto [q_BTHE, k_BTKE] = queries_and_keys(kept.qkv_NC, heads, weights);
  const auto [dq_BTHE, dk_BTKE, dv_BTKE] =
      ops_.attention_backward(dattended_BTHE, q_BTHE, k_BTKE, values(kept.qkv_NC, heads), kept.attention);
  kept.attention = {};

  const kernels::QkNormRopeGradients norm_gradients{gradients.target(units_.q_norm), gradients.target(units_.k_norm)};
  const at::Tensor dqkv_NC =
      ops_.qk_norm_rope_backward(dq_BTHE, dk_BTKE, dv_BTKE, kept.qkv_NC, weights.weight(units_.q_norm),
                                 weights.weight(units_.k_norm), rotary_, heads, shape_.rms_norm_eps, norm_gradients);
  gradients.ready(units_.k_norm);
  gradients.ready(units_.q_norm);
  kept.qkv_NC.reset();

  const at::Tensor norm_weight = weights.weight(units_.input_norm);
  const auto input = ops_.rms_norm_forward(kept.input_ND, norm_weight, shape_.rms_norm_eps);
  linear_weight_gradient(dqkv_NC, input.y_ND, units_.qkv, gradients);
  const at::Tensor dnormed_ND = at::mm(dqkv_NC, weights.weight(units_.qkv));
  at::Tensor dx_ND = ops_.rms_norm_backward(dnormed_ND, kept.input_ND, norm_weight, kept.input_rstd_N, dmiddle_ND,
                                            gradients.target(units_.input_norm));
  gradients.ready(units_.input_norm);
  return dx_ND;
}

}  // namespace tessera::model

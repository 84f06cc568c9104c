#include "model/block.hpp"

#include "model/linear.hpp"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/zeros.h>

#include <utility>

namespace tessera::model {
namespace {

at::Tensor by_image(const at::Tensor& x_RW, const at::Tensor& scale_B) {
  return x_RW.view({scale_B.size(0), -1, x_RW.size(1)});
}

// Every image's rows times its factor, multiplied in fp32 and rounded once; the rows themselves where there is none. A
// branch ends in a matrix product without a bias, so its factor may as well stand before that.
at::Tensor scaled(const at::Tensor& x_RW, const at::Tensor& scale_B) {
  if (!scale_B.defined()) {
    return x_RW;
  }
  at::Tensor y_RW = at::empty_like(x_RW);
  at::Tensor y_BTW = by_image(y_RW, scale_B);
  at::mul_out(y_BTW, by_image(x_RW, scale_B), scale_B.view({-1, 1, 1}));
  return y_RW;
}

}  // namespace

kernels::SelfAttentionInputs Block::attention_inputs(const at::Tensor& qkv_NC, std::int64_t batch,
                                                     Weights& weights) const {
  const kernels::HeadShape heads{batch, qkv_NC.size(0) / batch, shape_.num_attention_heads, shape_.num_key_value_heads,
                                 shape_.head_dim};
  return {qkv_NC, weights.weight(units_.q_norm), weights.weight(units_.k_norm), rotary_, heads, shape_.rms_norm_eps};
}

at::Tensor Block::used_rows(const at::Tensor& x_NW, std::int64_t batch) const {
  return outputs_ == Outputs::kAll ? x_NW : x_NW.view({batch, -1, x_NW.size(1)}).select(1, -1).contiguous();
}

at::Tensor Block::spread_rows(const at::Tensor& x_RW, std::int64_t num_rows) const {
  if (outputs_ == Outputs::kAll) {
    return x_RW;
  }
  at::Tensor spread_NW = at::zeros({num_rows, x_RW.size(1)}, x_RW.options());
  spread_NW.view({x_RW.size(0), -1, x_RW.size(1)}).select(1, -1).copy_(x_RW);
  return spread_NW;
}

BlockActivations Block::activations(const at::Tensor& x_ND, std::int64_t batch, Weights& weights) const {
  BlockActivations made;
  made.input_ND = x_ND;
  const auto input = ops_.rms_norm_forward(x_ND, weights.weight(units_.input_norm), shape_.rms_norm_eps);
  made.input_rstd_N = input.rstd_N;
  made.qkv_NC = ops_.linear_forward(input.y_ND, weights.weight(units_.qkv), {});
  made.attention = ops_.self_attention_forward(attention_inputs(made.qkv_NC, batch, weights));
  made.middle_RD = ops_.linear_forward(scaled(used_rows(attended(made), batch), scales_.attention_B),
                                       weights.weight(units_.o_proj), used_rows(x_ND, batch));

  make_gate_up(made, weights);
  return made;
}

void Block::make_gate_up(BlockActivations& made, Weights& weights) const {
  const auto middle = ops_.rms_norm_forward(made.middle_RD, weights.weight(units_.post_norm), shape_.rms_norm_eps);
  made.middle_rstd_R = middle.rstd_N;
  made.gate_up_R2F = ops_.linear_forward(middle.y_ND, weights.weight(units_.gate_up), {});
}

void Block::leave_out(BlockActivations& made, Recompute recompute) {
  switch (recompute) {
    case Recompute::kNone:
      return;
    case Recompute::kFeedForward:
      made.gate_up_R2F.reset();
      made.middle_rstd_R.reset();
      return;
    case Recompute::kBlock:
      BlockActivations input;
      input.input_ND = std::move(made.input_ND);
      made = std::move(input);
      return;
  }
}

void Block::make_again(BlockActivations& kept, Recompute recompute, std::int64_t batch, Weights& weights) const {
  if (recompute == Recompute::kBlock) {
    kept = activations(kept.input_ND, batch, weights);
  } else if (recompute == Recompute::kFeedForward) {
    make_gate_up(kept, weights);
  }
}

at::Tensor Block::attended(const BlockActivations& made) const {
  return made.attention.out_BTHE.view({made.input_ND.size(0), shape_.query_size()});
}

at::Tensor Block::output(const BlockActivations& made, Weights& weights) const {
  const at::Tensor hidden_RF = ops_.swiglu_forward(made.gate_up_R2F);
  if (scales_.feed_forward_B.defined()) {
    by_image(hidden_RF, scales_.feed_forward_B).mul_(scales_.feed_forward_B.view({-1, 1, 1}));
  }
  return ops_.linear_forward(hidden_RF, weights.weight(units_.down), made.middle_RD);
}

at::Tensor Block::backward(const at::Tensor& dy_RD, std::int64_t batch, BlockActivations& kept, Weights& weights,
                           Gradients& gradients) const {
  const at::Tensor dmiddle_RD = feed_forward_backward(dy_RD, kept, weights, gradients);
  return attention_backward(dmiddle_RD, batch, kept, weights, gradients);
}

at::Tensor Block::feed_forward_backward(const at::Tensor& dy_RD, BlockActivations& kept, Weights& weights,
                                        Gradients& gradients) const {
  // From here on the activations' own memory holds their gradients.
  at::Tensor dbranch_RD = scaled(dy_RD, scales_.feed_forward_B);
  at::Tensor hidden_RF = ops_.linear_input_gradient(dbranch_RD, weights.weight(units_.down));
  ops_.swiglu_backward(hidden_RF, kept.gate_up_R2F);
  linear_weight_gradient(ops_, dbranch_RD, hidden_RF, units_.down, gradients);
  dbranch_RD.reset();
  hidden_RF.reset();
  const at::Tensor dgate_up_R2F = std::move(kept.gate_up_R2F);

  at::Tensor normed_RD = ops_.linear_input_gradient(dgate_up_R2F, weights.weight(units_.gate_up));
  at::Tensor dmiddle_RD = ops_.rms_norm_backward(normed_RD, kept.middle_RD, weights.weight(units_.post_norm),
                                                 kept.middle_rstd_R, dy_RD, gradients.target(units_.post_norm));
  gradients.ready(units_.post_norm);
  kept.middle_RD.reset();
  linear_weight_gradient(ops_, dgate_up_R2F, normed_RD, units_.gate_up, gradients);
  return dmiddle_RD;
}

at::Tensor Block::attention_backward(const at::Tensor& dmiddle_RD, std::int64_t batch, BlockActivations& kept,
                                     Weights& weights, Gradients& gradients) const {
  at::Tensor dbranch_RD = scaled(dmiddle_RD, scales_.attention_B);
  linear_weight_gradient(ops_, dbranch_RD, used_rows(attended(kept), batch), units_.o_proj, gradients);
  const std::int64_t num_rows = kept.input_ND.size(0);
  const at::Tensor dattended_NA =
      spread_rows(ops_.linear_input_gradient(dbranch_RD, weights.weight(units_.o_proj)), num_rows);
  dbranch_RD.reset();
  const at::Tensor dqkv_NC = ops_.self_attention_backward(
      dattended_NA.view(kept.attention.out_BTHE.sizes()), attention_inputs(kept.qkv_NC, batch, weights), kept.attention,
      {gradients.target(units_.q_norm), gradients.target(units_.k_norm)});
  gradients.ready(units_.k_norm);
  gradients.ready(units_.q_norm);
  kept.attention = {};
  kept.qkv_NC.reset();

  at::Tensor normed_ND = ops_.linear_input_gradient(dqkv_NC, weights.weight(units_.qkv));
  at::Tensor dx_ND =
      ops_.rms_norm_backward(normed_ND, kept.input_ND, weights.weight(units_.input_norm), kept.input_rstd_N,
                             spread_rows(dmiddle_RD, num_rows), gradients.target(units_.input_norm));
  gradients.ready(units_.input_norm);
  linear_weight_gradient(ops_, dqkv_NC, normed_ND, units_.qkv, gradients);
  return dx_ND;
}

}  // namespace tessera::model

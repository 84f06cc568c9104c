#include "tessera/kernels/ops.hpp"

#include "kernels/cpu_ops.hpp"

namespace tessera::kernels {
namespace {

constexpr Ops kReferenceOps = {
    .linear_forward = reference::linear_forward,
    .linear_input_gradient = reference::linear_input_gradient,
    .linear_weight_gradient = reference::linear_weight_gradient,
    .rms_norm_forward = reference::rms_norm_forward,
    .rms_norm_backward = reference::rms_norm_backward,
    .qk_norm_rope_forward = reference::qk_norm_rope_forward,
    .qk_norm_rope_backward = reference::qk_norm_rope_backward,
    .swiglu_forward = reference::swiglu_forward,
    .swiglu_backward = reference::swiglu_backward,
    .attention_forward = reference::attention_forward,
    .attention_backward = reference::attention_backward,
    .self_attention_forward = reference::self_attention_forward,
    .self_attention_backward = reference::self_attention_backward,
    .cross_entropy = reference::cross_entropy,
    .label_rank = reference::label_rank,
    .adamw_step = reference::adamw_step,
    .momentum_step = reference::momentum_step,
    .add_trust_sums = reference::add_trust_sums,
    .update_average = reference::update_average,
    .add_sum_of_squares = reference::add_sum_of_squares,
    .accumulate = reference::accumulate,
    .fill_normal = cpu::fill_normal,
    .fill_uniform = cpu::fill_uniform,
    .transform_images = cpu::transform_images,
    .erase_images = cpu::erase_images,
    .mix_images = reference::mix_images,
};

constexpr Ops make_cpu_ops() {
  Ops ops = kReferenceOps;
  ops.rms_norm_forward = cpu::rms_norm_forward;
  ops.rms_norm_backward = cpu::rms_norm_backward;
  ops.qk_norm_rope_forward = cpu::qk_norm_rope_forward;
  ops.qk_norm_rope_backward = cpu::qk_norm_rope_backward;
  ops.swiglu_forward = cpu::swiglu_forward;
  ops.swiglu_backward = cpu::swiglu_backward;
  ops.self_attention_forward = cpu::self_attention_forward;
  ops.self_attention_backward = cpu::self_attention_backward;
  ops.adamw_step = cpu::adamw_step;
  ops.momentum_step = cpu::momentum_step;
  ops.add_trust_sums = cpu::add_trust_sums;
  ops.update_average = cpu::update_average;
  ops.add_sum_of_squares = cpu::add_sum_of_squares;
  ops.accumulate = cpu::accumulate;
  ops.mix_images = cpu::mix_images;
  return ops;
}
constexpr Ops kCpuOps = make_cpu_ops();

}  // namespace

const Ops& reference_ops() { return kReferenceOps; }

const Ops& cpu_ops() { return kCpuOps; }

}  // namespace tessera::kernels

#pragma once

#include "tessera/kernels/attention.hpp"
#include "tessera/kernels/cross_entropy.hpp"
#include "tessera/kernels/image_erase.hpp"
#include "tessera/kernels/image_mix.hpp"
#include "tessera/kernels/image_transform.hpp"
#include "tessera/kernels/linear.hpp"
#include "tessera/kernels/optimizer.hpp"
#include "tessera/kernels/qk_norm_rope.hpp"
#include "tessera/kernels/random_fill.hpp"
#include "tessera/kernels/rms_norm.hpp"
#include "tessera/kernels/self_attention.hpp"
#include "tessera/kernels/swiglu.hpp"

#include <c10/core/Device.h>

namespace tessera::kernels {

/// The implementation of every op that a run uses. Chosen once; the model and the engine call through it and know no
/// devices.
struct Ops {
  LinearForward* linear_forward;
  LinearInputGradient* linear_input_gradient;
  LinearWeightGradient* linear_weight_gradient;
  RmsNormForward* rms_norm_forward;
  RmsNormBackward* rms_norm_backward;
  QkNormRopeForward* qk_norm_rope_forward;
  QkNormRopeBackward* qk_norm_rope_backward;
  SwigluForward* swiglu_forward;
  SwigluBackward* swiglu_backward;
  AttentionForward* attention_forward;
  AttentionBackward* attention_backward;
  SelfAttentionForward* self_attention_forward;
  SelfAttentionBackward* self_attention_backward;
  CrossEntropy* cross_entropy;
  LabelRank* label_rank;
  AdamWStep* adamw_step;
  MomentumStep* momentum_step;
  AddTrustSums* add_trust_sums;
  UpdateAverage* update_average;
  AddSumOfSquares* add_sum_of_squares;
  Accumulate* accumulate;
  FillNormal* fill_normal;
  FillUniform* fill_uniform;
  TransformImages* transform_images;
  EraseImages* erase_images;
  MixImages* mix_images;
};

/// The slow, obvious twin of every op, on the CPU. It is the specification that the others are tested against.
const Ops& reference_ops();

/// The fastest implementation on this kind of device. Throws core::Error for CUDA where it was not built in.
const Ops& ops_for(c10::DeviceType device);

}  // namespace tessera::kernels

#pragma once

#include "tessera/config/model_shape.hpp"
#include "tessera/kernels/attention.hpp"
#include "tessera/model/param_table.hpp"
#include "tessera/model/recompute.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

// Shapes: B images, T tokens, N = B*T rows, R rows of a block's output (N, and B in the last block), D hidden,
// F intermediate, L blocks, H query and K key heads of E elements, C = (H + 2K) E, P elements a patch.

namespace tessera::model {

/// What a block keeps for its backward: what is costly to redo. The outputs of norms, of rotation and of SwiGLU are
/// made again from these. Of a block that is recomputed less is kept: see Block::leave_out.
struct BlockActivations {
  at::Tensor input_ND;
  at::Tensor input_rstd_N;
  at::Tensor qkv_NC;
  kernels::AttentionResult attention;
  at::Tensor middle_RD;  ///< after attention, before the feed-forward
  at::Tensor middle_rstd_R;
  at::Tensor gate_up_R2F;
};

/// What a forward pass keeps for its backward. Empty after it.
struct Activations {
  /// Given before the forward pass: draw_branch_scales(), [L, 2, B] on the run's device. Undefined: every branch is 1.
  at::Tensor branch_scales_L2B;
  at::Tensor patches_NP;
  std::vector<BlockActivations> blocks;
  at::Tensor last_BD;  ///< the last token before the final norm
  at::Tensor last_rstd_B;
  at::Tensor features_BD;  ///< after it
};

/// Bytes of device memory that activations take at the worst moment of a training step.
struct ActivationBytes {
  std::int64_t kept = 0;       ///< by all blocks, until backward
  std::int64_t transient = 0;  ///< on top, inside the block that is being worked on
};
ActivationBytes predict_activation_bytes(const config::ModelShape& shape, const Geometry& geometry, std::int64_t batch,
                                         std::int64_t bytes_per_element, const RecomputePolicy& recompute);

/// The same of a forward pass that keeps nothing: what is alive at once of the block that is being worked on.
std::int64_t predict_forward_bytes(const config::ModelShape& shape, const Geometry& geometry, std::int64_t batch,
                                   std::int64_t bytes_per_element);

}  // namespace tessera::model

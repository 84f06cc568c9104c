#pragma once

#include "tessera/config/model_shape.hpp"
#include "tessera/model/param_table.hpp"

namespace tessera::model {

/// Floating-point operations of one image's forward pass: 2 per multiply-add of every matrix product, and causal
/// attention counted as causal (2 T^2 H E a block), nothing else. Training is three times that; recomputation is not
/// counted, as MFU counts useful work (Chowdhery et al. 2022, appendix B).
double forward_flops_per_image(const config::ModelShape& shape, const Geometry& geometry);

/// Of a training step: that, and twice as much again for all that is trained, which patch embedding and the first
/// `frozen_blocks` blocks are not where that is above 0.
double training_flops_per_image(const config::ModelShape& shape, const Geometry& geometry, std::int64_t frozen_blocks);

}  // namespace tessera::model

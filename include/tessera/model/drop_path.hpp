#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <vector>

// Shapes: B images, L blocks.

namespace tessera::model {

/// Stochastic depth (Huang et al., "Deep networks with stochastic depth", ECCV 2016) as timm has it: each image goes
/// without a branch of a block, attention or feed-forward, with the block's own probability.
struct DropPath {
  double rate = 0;  ///< of the last block; 0: no stochastic depth
  std::int64_t num_blocks = 0;
  std::uint64_t seed = 0;

  /// timm's linspace(0, rate, num_blocks).
  [[nodiscard]] double rate_of(std::int64_t block) const;
};

/// Factors of a block's branches, fp32, one an image. Undefined: every one is 1, and nothing is multiplied.
struct BranchScales {
  at::Tensor attention_B;
  at::Tensor feed_forward_B;
};

/// scales_L2B, fp32 on `device`: 0 for a branch that the image goes without, else 1 / (1 - its probability), so that
/// the mean is what it was. A pure function of the seed, the epoch and the image's index in the data set: neither the
/// number of ranks nor the size of a micro-batch changes it.
at::Tensor draw_branch_scales(const DropPath& drop, std::int64_t epoch, const std::vector<std::int64_t>& images,
                              c10::Device device);

/// A block's part of them; none of none.
BranchScales scales_of_block(const at::Tensor& branch_scales_L2B, std::int64_t block);

}  // namespace tessera::model

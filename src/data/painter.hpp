#pragma once

#include "data/augment.hpp"
#include "data/named_ops.hpp"
#include "tessera/config/augment_config.hpp"

#include <cstdint>
#include <vector>

namespace tessera::data {

/// Changes the crops of training images between their flip and their normalisation: --aa, then --color_jitter.
class Painter {
 public:
  Painter(const config::AugmentConfig& augment, const Recipe& recipe, std::int32_t side);

  /// What is to be done to one image: as distributed in timm's and torchvision's transforms, drawn from Philox.
  [[nodiscard]] std::vector<PixelStep> draw(const SampleKey& key) const;
  /// Does it to the crop of that image.
  void paint(const Picture& picture, const SampleKey& key, Scratch& scratch) const;

 private:
  struct PolicyOp {
    const NamedOp* op;
    double probability;
    double magnitude;
  };
  struct WeightedOp {
    const NamedOp* op;
    double weight;
  };
  using SubPolicy = std::vector<PolicyOp>;

  void read_policy();
  void read_ops();
  void apply_at_random(const PolicyOp& op, RandomSequence& sequence, std::vector<PixelStep>& steps) const;
  void draw_layers(RandomSequence& sequence, std::vector<PixelStep>& steps) const;
  [[nodiscard]] std::size_t draw_weighted(RandomSequence& sequence) const;
  void draw_jitter(RandomSequence& sequence, std::vector<PixelStep>& steps) const;

  config::AutoAugment auto_augment_;
  double color_jitter_;
  std::int32_t side_;
  Color fill_{};
  std::vector<SubPolicy> policy_;  // of AutoAugment
  std::vector<WeightedOp> ops_;    // of RandAugment
};

}  // namespace tessera::data

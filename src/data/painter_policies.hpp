#pragma once

#include <array>
#include <span>
#include <string_view>

// timm 1.0's tables (data/auto_augment.py), by its names of the ops.

namespace tessera::data {

struct PolicyEntry {
  std::string_view op;
  double probability;
  double magnitude;
};
using PolicyPair = std::array<PolicyEntry, 2>;

/// The policy for ImageNet of Cubuk et al. 2018 ("original"). Its Posterize is PosterizeOriginal there, and
/// PosterizeIncreasing in "originalr".
std::span<const PolicyPair> original_policy();
/// The policy of TPU EfficientNet ("v0"). Its Posterize is PosterizeIncreasing in "v0r".
std::span<const PolicyPair> v0_policy();

/// What RandAugment chooses from; where ops are weighted, with these weights.
struct ChoiceEntry {
  std::string_view op;
  std::string_view increasing;  ///< what stands for it with "inc1"
  double weight;
};
std::span<const ChoiceEntry> all_choices();
std::span<const ChoiceEntry> three_choices();           ///< "t3a"
std::span<const ChoiceEntry> three_weighted_choices();  ///< "t3aw"

}  // namespace tessera::data

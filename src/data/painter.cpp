#include "data/painter.hpp"

#include "data/painter_policies.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>

namespace tessera::data {

namespace {

using Policy = config::AutoAugment::Policy;
using Ops = config::AutoAugment::Ops;

}  // namespace

Painter::Painter(const config::AugmentConfig& augment, const Recipe& recipe, std::int32_t side)
    : auto_augment_(augment.auto_augment), color_jitter_(augment.color_jitter), side_(side) {
  for (std::size_t channel = 0; channel < fill_.size(); ++channel) {
    // timm's img_mean, with Python's rounding of halves to even.
    fill_[channel] = static_cast<std::uint8_t>(std::min(255.0F, std::nearbyint(255 * recipe.mean[channel])));
  }
  read_policy();
  read_ops();
}

void Painter::read_policy() {
  const Policy name = auto_augment_.policy;
  if (name == Policy::kThree) {
    policy_ = {
        {{&op_named("Solarize"), 1, 5}}, {{&op_named("Desaturate"), 1, 10}}, {{&op_named("GaussianBlurRand"), 1, 10}}};
    return;
  }
  std::span<const PolicyPair> pairs;
  std::string_view posterize = "PosterizeIncreasing";
  if (name == Policy::kOriginal || name == Policy::kOriginalR) {
    pairs = original_policy();
    posterize = name == Policy::kOriginal ? "PosterizeOriginal" : posterize;
  } else if (name == Policy::kV0 || name == Policy::kV0R) {
    pairs = v0_policy();
    posterize = name == Policy::kV0 ? "Posterize" : posterize;
  }
  for (const PolicyPair& pair : pairs) {
    SubPolicy& ops = policy_.emplace_back();
    for (const PolicyEntry& entry : pair) {
      ops.push_back({&op_named(entry.op == "Posterize" ? posterize : entry.op), entry.probability, entry.magnitude});
    }
  }
}

void Painter::read_ops() {
  if (auto_augment_.policy != Policy::kRandAugment) {
    return;
  }
  const std::span<const ChoiceEntry> choices = auto_augment_.ops == Ops::kThree           ? three_choices()
                                               : auto_augment_.ops == Ops::kThreeWeighted ? three_weighted_choices()
                                                                                          : all_choices();
  for (const ChoiceEntry& choice : choices) {
    ops_.push_back({&op_named(auto_augment_.increasing ? choice.increasing : choice.op), choice.weight});
  }
}

void Painter::apply_at_random(const PolicyOp& op, RandomSequence& sequence, std::vector<PixelStep>& steps) const {
  if (!sequence.happens(op.probability)) {
    return;
  }
  double magnitude = op.magnitude;
  if (std::isinf(auto_augment_.magnitude_std)) {
    magnitude = sequence.uniform(0, magnitude);
  } else if (auto_augment_.magnitude_std > 0) {
    magnitude = sequence.normal(magnitude, auto_augment_.magnitude_std);
  }
  magnitude = std::clamp(magnitude, 0.0, auto_augment_.magnitude_max);
  steps.push_back(step_of(*op.op, magnitude, side_, sequence));
}

std::size_t Painter::draw_weighted(RandomSequence& sequence) const {
  double total = 0;
  for (const WeightedOp& op : ops_) {
    total += op.weight;
  }
  double rest = sequence.uniform(0, total);
  std::size_t chosen = 0;
  while (chosen + 1 < ops_.size() && rest >= ops_[chosen].weight) {
    rest -= ops_[chosen++].weight;
  }
  return chosen;
}

void Painter::draw_layers(RandomSequence& sequence, std::vector<PixelStep>& steps) const {
  const bool weighted = auto_augment_.ops == Ops::kWeighted || auto_augment_.ops == Ops::kThreeWeighted;
  std::vector<std::size_t> chosen;
  while (chosen.size() < static_cast<std::size_t>(auto_augment_.num_layers)) {
    if (!weighted) {
      chosen.push_back(static_cast<std::size_t>(sequence.below(static_cast<std::int64_t>(ops_.size()))));
      continue;
    }
    // As numpy's choice: weighted draws are without repetition.
    const std::size_t next = draw_weighted(sequence);
    if (std::ranges::find(chosen, next) == chosen.end()) {
      chosen.push_back(next);
    }
  }
  for (const std::size_t index : chosen) {
    apply_at_random({ops_[index].op, auto_augment_.probability, auto_augment_.magnitude}, sequence, steps);
  }
}

void Painter::draw_jitter(RandomSequence& sequence, std::vector<PixelStep>& steps) const {
  std::array<PixelOp, 3> order{PixelOp::kBrightness, PixelOp::kContrast, PixelOp::kColor};
  for (std::size_t i = order.size(); i-- > 1;) {
    std::swap(order[i], order[static_cast<std::size_t>(sequence.below(static_cast<std::int64_t>(i) + 1))]);
  }
  for (const PixelOp op : order) {
    steps.push_back({op, sequence.uniform(std::max(0.0, 1 - color_jitter_), 1 + color_jitter_)});
  }
}

std::vector<PixelStep> Painter::draw(const SampleKey& key) const {
  RandomSequence sequence(RandomStream(key.seed, "data.paint"), static_cast<std::uint64_t>(key.index),
                          static_cast<std::uint64_t>(key.epoch));
  std::vector<PixelStep> steps;
  if (!ops_.empty()) {
    draw_layers(sequence, steps);
  } else if (!policy_.empty()) {
    for (const PolicyOp& op :
         policy_[static_cast<std::size_t>(sequence.below(static_cast<std::int64_t>(policy_.size())))]) {
      apply_at_random(op, sequence, steps);
    }
  }
  if (color_jitter_ > 0) {
    draw_jitter(sequence, steps);
  }
  return steps;
}

void Painter::paint(const Picture& picture, const SampleKey& key, Scratch& scratch) const {
  for (const PixelStep& step : draw(key)) {
    apply(step, picture, fill_, scratch);
  }
}

}  // namespace tessera::data

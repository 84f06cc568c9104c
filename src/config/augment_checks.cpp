#include "config/validation.hpp"
#include "tessera/core/error.hpp"

#include <string>
#include <string_view>

namespace tessera::config {
namespace {

void read_policy(const Checked& checked) {
  AugmentConfig& augment = checked.command.run.augment;
  try {
    augment.auto_augment = parse_auto_augment(augment.aa);
  } catch (const core::UserError& error) {
    const std::string text = error.what();
    checked.problems.add("--aa {}", text.substr(text.find("] ") + 2));
  }
}

/// timm leaves colour jitter out beside every policy but these.
bool goes_with_jitter(const AutoAugment& policy) {
  return policy.policy == AutoAugment::Policy::kNone || policy.policy == AutoAugment::Policy::kThree ||
         policy.ops == AutoAugment::Ops::kThree || policy.ops == AutoAugment::Ops::kThreeWeighted;
}

void refuse(const Checked& checked, std::string_view flag, bool without_effect, std::string_view reason) {
  if (without_effect && checked.given(flag)) {
    checked.problems.add("--{} has no effect {}: leave it out", flag, reason);
  }
}

void check_mixing(const Checked& checked) {
  const RunConfig& run = checked.command.run;
  const AugmentConfig& augment = run.augment;
  const AugmentConfig defaults;
  refuse(checked, "mixup_prob", !augment.mixes() && augment.mixup_prob != defaults.mixup_prob,
         "without --mixup, --cutmix or --cutmix_minmax");
  refuse(checked, "mixup_mode", !augment.mixes() && augment.mixup_mode != defaults.mixup_mode,
         "without --mixup, --cutmix or --cutmix_minmax");
  refuse(checked, "mixup_switch_prob",
         (augment.mixup <= 0 || !augment.cuts()) && augment.mixup_switch_prob != defaults.mixup_switch_prob,
         "unless both --mixup and --cutmix are on");
  refuse(checked, "cutmix", augment.cutmix > 0 && augment.cutmix_minmax.has_value(),
         "beside --cutmix_minmax, which says the rectangle's size");
  if (augment.cutmix_minmax) {
    const auto least = static_cast<std::int64_t>(static_cast<double>(run.data.input_size) * augment.cutmix_minmax->min);
    const auto most = static_cast<std::int64_t>(static_cast<double>(run.data.input_size) * augment.cutmix_minmax->max);
    if (least >= most) {
      checked.problems.add("--cutmix_minmax {} {} leaves no side to draw for images of {} pixels",
                           augment.cutmix_minmax->min, augment.cutmix_minmax->max, run.data.input_size);
    }
  }
  if (!run.data.derive_batch_size) {
    check_pairs(run, checked.problems);
  }
}

}  // namespace

void check_augment(Checked checked) {
  const AugmentConfig& augment = checked.command.run.augment;
  read_policy(checked);
  refuse(checked, "color_jitter", augment.color_jitter > 0 && !goes_with_jitter(augment.auto_augment),
         "beside --aa, as in timm, except with 3a");
  const AugmentConfig defaults;
  refuse(checked, "remode", augment.reprob == 0 && augment.remode != defaults.remode, "without --reprob");
  refuse(checked, "recount", augment.reprob == 0 && augment.recount != defaults.recount, "without --reprob");
  check_mixing(checked);
}

void check_pairs(const RunConfig& config, Problems& problems) {
  if (config.augment.mixes() && config.data.batch_size % 2 != 0) {
    problems.add("images are mixed in pairs within a rank's micro-batch, but --batch_size is {}: make it even",
                 config.data.batch_size);
  }
}

}  // namespace tessera::config

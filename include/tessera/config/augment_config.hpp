#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tessera::config {

/// What an erased rectangle is filled with: zeros, one random colour, or noise (of a mean of 0 and a deviation of 1).
enum class EraseMode { kConst, kRand, kPixel };
/// For what one lambda is drawn when images are mixed: the batch, a pair of images, an image.
enum class MixMode { kBatch, kPair, kElem };

/// As on the command line: "pixel", "batch" and so on.
std::string_view name_of(EraseMode mode);
std::string_view name_of(MixMode mode);

/// Two shares of a side, in [0, 1].
struct ShareRange {
  double min = 0;
  double max = 0;
};

/// What --aa asks for, in timm's terms: AutoAugment (Cubuk et al. 2018) with one of its policies, RandAugment (Cubuk et
/// al. 2019), or 3-Augment (Touvron et al. 2022).
struct AutoAugment {
  enum class Policy { kNone, kRandAugment, kOriginal, kOriginalR, kV0, kV0R, kThree };
  enum class Ops { kAll, kWeighted, kThree, kThreeWeighted };  ///< what RandAugment chooses from

  Policy policy = Policy::kNone;
  double magnitude_std = 0;  ///< deviation of the magnitude about its mean; infinite: uniform from 0 to the magnitude
  // RandAugment alone:
  double magnitude = 10;
  double magnitude_max = 10;
  std::int64_t num_layers = 2;
  double probability = 0.5;  ///< of each layer
  bool increasing = false;   ///< every op grows stronger with the magnitude
  Ops ops = Ops::kAll;
};

/// Reads "rand-m9-mstd0.5-inc1", "original", "v0-mstd0.5" and so on; empty and "none" are none. Throws UserError that
/// says which part is wrong, where timm would stop or pass it over.
AutoAugment parse_auto_augment(std::string_view text);

/// How training images are changed, in the order in which it happens.
struct AugmentConfig {
  double random_label_ratio = 0;  ///< of the images get a label drawn uniformly
  double hflip = 0.5;             ///< probability
  std::string aa{};
  AutoAugment auto_augment{};  ///< `aa`, read
  double color_jitter = 0;     ///< brightness, contrast and saturation times 1 - this to 1 + this; 0: off
  double reprob = 0;           ///< of erasing
  EraseMode remode = EraseMode::kPixel;
  std::int64_t recount = 1;  ///< most rectangles of an image
  double mixup = 0;          ///< alpha of lambda's beta distribution; 0: off
  double cutmix = 0;         ///< the same
  std::optional<ShareRange> cutmix_minmax{};
  double mixup_prob = 1;
  double mixup_switch_prob = 0.5;  ///< of cutmix, where both are on
  MixMode mixup_mode = MixMode::kBatch;

  [[nodiscard]] bool cuts() const { return cutmix > 0 || cutmix_minmax.has_value(); }
  [[nodiscard]] bool mixes() const { return mixup > 0 || cuts(); }
  /// Whether pixels change between the crop and the normalisation.
  [[nodiscard]] bool paints() const { return auto_augment.policy != AutoAugment::Policy::kNone || color_jitter > 0; }
};

}  // namespace tessera::config

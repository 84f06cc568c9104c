#include "data/named_ops.hpp"

#include "tessera/core/error.hpp"

#include <algorithm>

// The formulas and their rounding are those of timm 1.0's data/auto_augment.py.

namespace tessera::data {

namespace {

constexpr double kFull = 10;  // the magnitude of which others are shares

constexpr NamedOp kOps[] = {
    {"AutoContrast", PixelOp::kAutoContrast, Scale::kNone},
    {"Equalize", PixelOp::kEqualize, Scale::kNone},
    {"Invert", PixelOp::kInvert, Scale::kNone},
    {"Rotate", PixelOp::kRotate, Scale::kRotate},
    {"Posterize", PixelOp::kPosterize, Scale::kPosterize},
    {"PosterizeIncreasing", PixelOp::kPosterize, Scale::kPosterizeIncreasing},
    {"PosterizeOriginal", PixelOp::kPosterize, Scale::kPosterizeOriginal},
    {"Solarize", PixelOp::kSolarize, Scale::kSolarize},
    {"SolarizeIncreasing", PixelOp::kSolarize, Scale::kSolarizeIncreasing},
    {"SolarizeAdd", PixelOp::kSolarizeAdd, Scale::kSolarizeAdd},
    {"Color", PixelOp::kColor, Scale::kEnhance},
    {"ColorIncreasing", PixelOp::kColor, Scale::kEnhanceIncreasing},
    {"Contrast", PixelOp::kContrast, Scale::kEnhance},
    {"ContrastIncreasing", PixelOp::kContrast, Scale::kEnhanceIncreasing},
    {"Brightness", PixelOp::kBrightness, Scale::kEnhance},
    {"BrightnessIncreasing", PixelOp::kBrightness, Scale::kEnhanceIncreasing},
    {"Sharpness", PixelOp::kSharpness, Scale::kEnhance},
    {"SharpnessIncreasing", PixelOp::kSharpness, Scale::kEnhanceIncreasing},
    {"ShearX", PixelOp::kShearX, Scale::kShear},
    {"ShearY", PixelOp::kShearY, Scale::kShear},
    {"TranslateXRel", PixelOp::kTranslateX, Scale::kTranslate},
    {"TranslateYRel", PixelOp::kTranslateY, Scale::kTranslate},
    {"Desaturate", PixelOp::kColor, Scale::kDesaturate},
    {"GaussianBlur", PixelOp::kGaussianBlur, Scale::kBlur},
    {"GaussianBlurRand", PixelOp::kGaussianBlur, Scale::kBlurRand},
};

/// A share of 0 to 1 as a number from `low` to `high`.
double between(double low, double high, double share) { return std::clamp(low + (high - low) * share, low, high); }

double argument_of(Scale scale, double magnitude, std::int32_t side, RandomSequence& sequence) {
  const double share = magnitude / kFull;
  const auto signed_at_random = [&](double value) { return sequence.happens(0.5) ? -value : value; };
  const double quarters = std::trunc(share * 4);
  const double threshold = std::min(256.0, std::trunc(share * 256));
  switch (scale) {
    case Scale::kNone:
      return 0;
    case Scale::kRotate:
      return signed_at_random(share * 30.0);
    case Scale::kPosterize:
      return quarters;
    case Scale::kPosterizeIncreasing:
      return 4 - quarters;
    case Scale::kPosterizeOriginal:
      return quarters + 4;
    case Scale::kSolarize:
      return threshold;
    case Scale::kSolarizeIncreasing:
      return 256 - threshold;
    case Scale::kSolarizeAdd:
      return std::min(128.0, std::trunc(share * 110));
    case Scale::kEnhance:
      return share * 1.8 + 0.1;
    case Scale::kEnhanceIncreasing:
      return std::max(0.1, 1.0 + signed_at_random(share * 0.9));
    case Scale::kShear:
      return signed_at_random(share * 0.3);
    case Scale::kTranslate:
      return signed_at_random(share * 0.45) * side;
    case Scale::kDesaturate:
      return std::clamp(1.0 - between(0.5, 1.0, share), 0.0, 1.0);
    case Scale::kBlur:
      return between(0.1, 2.0, share);
    case Scale::kBlurRand:
      return sequence.uniform(0.1, 2.0 * between(0.0, 1.0, share));
  }
  return 0;
}

}  // namespace

const NamedOp& op_named(std::string_view name) {
  const auto* const found = std::ranges::find(kOps, name, &NamedOp::name);
  core::require(found != std::end(kOps), "data", "there is no op {}", name);
  return *found;
}

PixelStep step_of(const NamedOp& op, double magnitude, std::int32_t side, RandomSequence& sequence) {
  return {op.op, argument_of(op.scale, magnitude, side, sequence)};
}

}  // namespace tessera::data

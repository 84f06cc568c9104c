#pragma once

#include "data/picture.hpp"

namespace tessera::data {

enum class PixelOp {
  kAutoContrast,
  kEqualize,
  kInvert,
  kPosterize,    ///< argument: bits that are kept
  kSolarize,     ///< argument: bytes from here on are inverted
  kSolarizeAdd,  ///< argument: what is added to bytes below 128
  kBrightness,   ///< argument of this and the next three: a factor, 1 changes nothing
  kContrast,
  kColor,
  kSharpness,
  kGaussianBlur,  ///< argument: radius in pixels
  kRotate,        ///< argument: degrees, counter-clockwise
  kShearX,        ///< argument: columns per row
  kShearY,        ///< argument: rows per column
  kTranslateX,    ///< argument: pixels, to the left
  kTranslateY,    ///< argument: pixels, up
};

/// One change of a picture.
struct PixelStep {
  PixelOp op = PixelOp::kInvert;
  double argument = 0;
};

/// Gives the bytes that Pillow 12 gives for timm's op of that name (timm 1.0, data/auto_augment.py), with its bicubic
/// interpolation; what comes in from outside the picture has the colour `fill`.
void apply(const PixelStep& step, const Picture& picture, const Color& fill, Scratch& scratch);

}  // namespace tessera::data

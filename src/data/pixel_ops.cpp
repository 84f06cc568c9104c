#include "data/pixel_ops.hpp"

#include "data/pixel_affine.hpp"
#include "data/pixel_blends.hpp"
#include "data/pixel_tables.hpp"

namespace tessera::data {

void apply(const PixelStep& step, const Picture& picture, const Color& fill, Scratch& scratch) {
  const auto whole = static_cast<std::int32_t>(step.argument);
  const auto factor = static_cast<float>(step.argument);  // Pillow's arithmetic from here on
  switch (step.op) {
    case PixelOp::kAutoContrast:
      return auto_contrast(picture);
    case PixelOp::kEqualize:
      return equalize(picture);
    case PixelOp::kInvert:
      return solarize(picture, 0);
    case PixelOp::kPosterize:
      return posterize(picture, whole);
    case PixelOp::kSolarize:
      return solarize(picture, whole);
    case PixelOp::kSolarizeAdd:
      return solarize_add(picture, whole);
    case PixelOp::kBrightness:
      return change_brightness(picture, factor);
    case PixelOp::kContrast:
      return change_contrast(picture, factor);
    case PixelOp::kColor:
      return change_color(picture, factor);
    case PixelOp::kSharpness:
      return change_sharpness(picture, factor, scratch);
    case PixelOp::kGaussianBlur:
      return gaussian_blur(picture, factor, scratch);
    case PixelOp::kRotate:
      return transform(picture, rotation(step.argument, picture.side), fill, scratch);
    case PixelOp::kShearX:
      return transform(picture, {1, step.argument, 0, 0, 1, 0}, fill, scratch);
    case PixelOp::kShearY:
      return transform(picture, {1, 0, 0, step.argument, 1, 0}, fill, scratch);
    case PixelOp::kTranslateX:
      return transform(picture, {1, 0, step.argument, 0, 1, 0}, fill, scratch);
    case PixelOp::kTranslateY:
      return transform(picture, {1, 0, 0, 0, 1, step.argument}, fill, scratch);
  }
}

}  // namespace tessera::data

#pragma once

#include "data/pixel_ops.hpp"
#include "data/random.hpp"

#include <cstdint>
#include <string_view>

namespace tessera::data {

/// How an op's argument comes from its magnitude: one for each of timm's *_level_to_arg functions.
enum class Scale {
  kNone,
  kRotate,
  kPosterize,
  kPosterizeIncreasing,
  kPosterizeOriginal,
  kSolarize,
  kSolarizeIncreasing,
  kSolarizeAdd,
  kEnhance,
  kEnhanceIncreasing,
  kShear,
  kTranslate,
  kDesaturate,
  kBlur,
  kBlurRand,
};

/// An op as timm names it.
struct NamedOp {
  std::string_view name;
  PixelOp op;
  Scale scale;
};
const NamedOp& op_named(std::string_view name);

/// The op at a magnitude from 0 on, of which 10 is the most that is usual. `sequence` decides what timm leaves to
/// chance: the sign of most arguments.
PixelStep step_of(const NamedOp& op, double magnitude, std::int32_t side, RandomSequence& sequence);

}  // namespace tessera::data

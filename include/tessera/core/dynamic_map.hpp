#pragma once

#include "tessera/core/rounded.hpp"

#include <cstdint>

namespace tessera::core {

/// Numbers in 8 bits: codes that stand for shares of a scale, which a block of numbers has in common. The codes' values
/// are those of the dynamic map of Dettmers et al. 2022 (8-bit Optimizers via Block-wise Quantization), as
/// bitsandbytes' create_dynamic_map has them, to a few units of fp32: 0, 1, and the middles of equal intervals of the
/// seven decades from 1e-7 to 1, twice as many in each as in the one below it.
///
/// kSigned: for numbers of either sign, with half as many intervals in a decade; negative codes are in two's
/// complement. Otherwise for numbers from 0 on. Code 0 is 0 in both.
///
/// All of it is rounded fp32 operations of which none are a product and a sum, so that no compiler can fuse two and
/// every device gives the same bits; and without branches, so that the CPU's loops become vector instructions.
template <bool kSigned>
class DynamicMap {
 public:
  /// The code of 1: a block's greatest element.
  static constexpr int kOne = kSigned ? 128 : 255;

  /// The code nearest to `share` of the scale, in [-1, 1]. -1 is none, and the greatest of a block is never it
  /// (scale_of). Where numbers are not signed, none but 0 becomes 0: they are second moments, which are divided by. NaN
  /// becomes 0.
  TESSERA_ELEMENT_FUNCTION static constexpr std::uint8_t encode(float share) {
    const bool is_negative = kSigned && share < 0;
    const float size = is_negative ? -share : share;
    float place = size;
    float steps = kMostSteps;
    to_last_decade(place, steps, 1e-4F, 1e4F, 1.0F / 16);
    to_last_decade(place, steps, 1e-2F, 1e2F, 1.0F / 4);
    to_last_decade(place, steps, 1e-1F, 1e1F, 1.0F / 2);
    place = (place - 0.1F) * (steps * (1 / 0.9F));
    const float last = steps - 0.5F;
    const int interval = static_cast<int>(place < last ? place : last);
    // The last value of a decade is nearer to the first 0.2 of the next one's first interval than that one's middle.
    int code = static_cast<int>(steps) - (kSigned ? 0 : 1) + interval - static_cast<int>(place < 0.2F);
    code = code < 1 ? 1 : code;
    const bool is_some = kSigned ? size >= kLeast / 2 : size > 0;
    code = is_some ? code : 0;
    const int most = kOne - static_cast<int>(is_negative);  // there is no -1
    code = size >= 1 - 0.225F / kMostSteps ? most : code;
    return static_cast<std::uint8_t>(is_negative ? -code : code);
  }

  /// Of what share a code is.
  TESSERA_ELEMENT_FUNCTION static constexpr float share_of(std::uint8_t code) {
    const int byte = code;
    const int number = kSigned && byte > kOne ? byte - 256 : byte;
    const int size = number < 0 ? -number : number;
    float place = static_cast<float>(size) + (kSigned ? 0.5F : 1.5F);
    float factor = 1;
    to_last_decade(place, factor, kMostSteps / 8, 16, 1e-4F);
    to_last_decade(place, factor, kMostSteps / 2, 4, 1e-2F);
    to_last_decade(place, factor, kMostSteps, 2, 1e-1F);
    const float between = ((place * (1 / kMostSteps) - 8 / 9.0F) * 0.9F) * factor;
    const float share = size == kOne ? 1.0F : size == 0 ? 0.0F : between;
    return number < 0 ? -share : share;
  }

 private:
  static constexpr float kMostSteps = kSigned ? 64 : 128;        // intervals of the last decade
  static constexpr float kLeast = kSigned ? 5.5e-7F : 3.25e-7F;  // value of code 1

  // Where `value` is below `bound`, moves it up by a factor, and gives `other` another one.
  TESSERA_ELEMENT_FUNCTION static constexpr void to_last_decade(float& value, float& other, float bound, float factor,
                                                                float other_factor) {
    const bool is_below = value < bound;
    value = is_below ? value * factor : value;
    other = is_below ? other * other_factor : other;
  }
};

}  // namespace tessera::core

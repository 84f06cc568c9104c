#include "tessera/core/scale_blocks.hpp"

#include "tessera/core/vector_clones.hpp"

#include <algorithm>

namespace tessera::core {
namespace {

template <bool kSigned>
[[gnu::always_inline]] inline void decode(const std::uint8_t* codes, const float* scales, std::int64_t count,
                                          float* values) {
  for (std::int64_t first = 0; first < count; first += kScaleBlock) {
    decode_block<kSigned>(codes + first, scales[first / kScaleBlock], std::min(kScaleBlock, count - first),
                          values + first);
  }
}

template <bool kSigned>
[[gnu::always_inline]] inline void encode(const float* values, std::int64_t count, std::uint8_t* codes, float* scales) {
  for (std::int64_t first = 0; first < count; first += kScaleBlock) {
    scales[first / kScaleBlock] =
        encode_block<kSigned>(values + first, std::min(kScaleBlock, count - first), codes + first);
  }
}

}  // namespace

TESSERA_VECTOR_CLONES void decode_blocks(const std::uint8_t* codes, const float* scales, bool is_signed,
                                         std::int64_t count, float* values) {
  if (is_signed) {
    decode<true>(codes, scales, count, values);
  } else {
    decode<false>(codes, scales, count, values);
  }
}

TESSERA_VECTOR_CLONES void encode_blocks(const float* values, bool is_signed, std::int64_t count, std::uint8_t* codes,
                                         float* scales) {
  if (is_signed) {
    encode<true>(values, count, codes, scales);
  } else {
    encode<false>(values, count, codes, scales);
  }
}

}  // namespace tessera::core

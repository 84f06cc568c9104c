#pragma once

#include <cstdint>
#include <string_view>

namespace tessera::config {

/// What the head reads of the last block's output, after the final norm.
enum class Pooling : std::uint8_t {
  kLastToken,   ///< the last patch, which alone has seen every other
  kMean,        ///< the mean of all patches, normed after that, as MAE's and timm's global_pool
  kClassToken,  ///< a learnt token behind the last patch, where under a causal mask it sees them all
};

/// "last", "mean", "cls_token".
std::string_view name_of(Pooling pooling);

/// The reverse. Throws UserError that lists the names.
Pooling pooling_from_name(std::string_view name);

}  // namespace tessera::config

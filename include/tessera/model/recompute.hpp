#pragma once

#include <cstdint>

namespace tessera::model {

/// What of a block's activations is computed again in backward instead of kept.
enum class Recompute : std::uint8_t {
  kNone,
  kFeedForward,  ///< gate and up, the largest: one matrix product again
  kBlock,        ///< everything but the input
};

/// How the trained blocks of a model, counted from the first, are recomputed. The first ones are the cheapest in
/// memory: by the time that one is made again, those behind it are gone. The last block has only its attention to keep
/// and is the first that backward needs: it is never recomputed.
struct RecomputePolicy {
  std::int64_t whole_blocks = 0;   ///< the first ones: Recompute::kBlock
  std::int64_t feed_forwards = 0;  ///< the next ones: Recompute::kFeedForward

  [[nodiscard]] constexpr Recompute of(std::int64_t block) const {
    return block < whole_blocks                   ? Recompute::kBlock
           : block < whole_blocks + feed_forwards ? Recompute::kFeedForward
                                                  : Recompute::kNone;
  }
  [[nodiscard]] constexpr bool is_none() const { return whole_blocks == 0 && feed_forwards == 0; }
};

}  // namespace tessera::model

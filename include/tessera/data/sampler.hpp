#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace tessera::data {

/// Which optimizer step's images come next. With the seed, this is all the state that sampling has.
struct Cursor {
  std::int64_t epoch = 0;
  std::int64_t step = 0;  ///< in the epoch
};

struct SamplerSpec {
  std::int64_t dataset_size = 0;
  std::int64_t batch_size = 32;  ///< images per rank and micro-step
  std::int64_t accum_iter = 1;   ///< micro-steps per optimizer step
  int rank = 0;
  int world = 1;
  std::uint64_t seed = 0;

  /// Images of one optimizer step over all ranks.
  [[nodiscard]] std::int64_t effective_batch() const { return batch_size * accum_iter * world; }
};

/// The order of an epoch: Fisher and Yates's shuffle of [0, size), drawn from Philox keyed by seed and epoch. World
/// size, rank and workers have no part in it.
std::vector<std::int64_t> epoch_order(std::int64_t size, std::uint64_t seed, std::int64_t epoch);

/// Divides each epoch's order among steps, micro-steps and ranks.
///
/// Optimizer step s takes positions [s E, (s + 1) E) of the order, E = effective_batch(); what does not fill a step at
/// the end is left out. Micro-step m and rank r take positions m batch_size world + r batch_size + i of these.
class TrainSampler {
 public:
  /// Throws core::UserError where the data set is smaller than one step.
  explicit TrainSampler(const SamplerSpec& spec);

  [[nodiscard]] std::int64_t steps_per_epoch() const { return spec_.dataset_size / spec_.effective_batch(); }
  /// Indices of this rank's images of one micro-step. May be called from many threads at once.
  [[nodiscard]] std::vector<std::int64_t> indices(Cursor step, std::int64_t micro_step) const;

 private:
  using Order = std::shared_ptr<const std::vector<std::int64_t>>;
  Order order(std::int64_t epoch) const;

  SamplerSpec spec_;
  mutable std::mutex mutex_;
  mutable std::vector<std::pair<std::int64_t, Order>> recent_;  ///< orders of the last epochs asked for
};

/// Evaluation: rank r of W takes images r, r + W, ...: each exactly once over the ranks, nothing padded.
std::vector<std::int64_t> evaluation_indices(std::int64_t dataset_size, int rank, int world);

}  // namespace tessera::data

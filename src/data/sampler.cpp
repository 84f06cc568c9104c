#include "tessera/data/sampler.hpp"

#include "data/random.hpp"
#include "tessera/core/error.hpp"

#include <algorithm>
#include <numeric>

namespace tessera::data {

std::vector<std::int64_t> epoch_order(std::int64_t size, std::uint64_t seed, std::int64_t epoch) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  const RandomStream stream(seed, "data.order");
  for (std::size_t i = order.size(); i-- > 1;) {
    // 64 random bits: the bias towards some positions is below size / 2^64.
    const core::Philox4 words = stream.at(i, static_cast<std::uint64_t>(epoch));
    const std::uint64_t word = (std::uint64_t{words.value[1]} << 32U) | words.value[0];
    std::swap(order[i], order[scale_to(word, i + 1)]);
  }
  return order;
}

TrainSampler::TrainSampler(const SamplerSpec& spec) : spec_(spec) {
  core::require(
      spec.batch_size > 0 && spec.accum_iter > 0 && spec.world > 0 && spec.rank >= 0 && spec.rank < spec.world, "data",
      "no sampler for rank {} of {}, batch size {}, {} micro-steps", spec.rank, spec.world, spec.batch_size,
      spec.accum_iter);
  core::require<core::UserError>(
      steps_per_epoch() > 0, "data",
      "one optimizer step takes {} images (batch_size {} x accum_iter {} x {} ranks) and the training set has {}; "
      "lower --batch_size or --accum_iter",
      spec.effective_batch(), spec.batch_size, spec.accum_iter, spec.world, spec.dataset_size);
}

TrainSampler::Order TrainSampler::order(std::int64_t epoch) const {
  // Workers are at most on two epochs at a time, either side of a boundary.
  constexpr std::size_t kKept = 2;
  const std::scoped_lock lock(mutex_);
  const auto found = std::ranges::find_if(recent_, [&](const auto& entry) { return entry.first == epoch; });
  if (found != recent_.end()) {
    return found->second;
  }
  if (recent_.size() == kKept) {
    recent_.erase(recent_.begin());
  }
  recent_.emplace_back(epoch,
                       std::make_shared<std::vector<std::int64_t>>(epoch_order(spec_.dataset_size, spec_.seed, epoch)));
  return recent_.back().second;
}

std::vector<std::int64_t> TrainSampler::indices(Cursor step, std::int64_t micro_step) const {
  core::require(step.epoch >= 0 && step.step >= 0 && step.step < steps_per_epoch() && micro_step >= 0 &&
                    micro_step < spec_.accum_iter,
                "data", "no micro-step {} of step {} of epoch {}: an epoch has {} steps of {}", micro_step, step.step,
                step.epoch, steps_per_epoch(), spec_.accum_iter);
  const Order whole = order(step.epoch);
  const std::int64_t first =
      step.step * spec_.effective_batch() + (micro_step * spec_.world + spec_.rank) * spec_.batch_size;
  return {whole->begin() + first, whole->begin() + first + spec_.batch_size};
}

std::vector<std::int64_t> evaluation_indices(std::int64_t dataset_size, int rank, int world) {
  std::vector<std::int64_t> indices;
  for (std::int64_t index = rank; index < dataset_size; index += world) {
    indices.push_back(index);
  }
  return indices;
}

}  // namespace tessera::data

#include "tessera/engine/shard_layout.hpp"

#include "tessera/core/error.hpp"

#include <algorithm>
#include <utility>

namespace tessera::engine {
namespace {

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Units are placed at multiples of kAlignment, and the end is padded so that every rank's shard is one too.
void close(Bucket& bucket, std::int64_t used, int world) {
  bucket.shard_elements = round_up(round_up(used, world) / world, kAlignment);
  bucket.num_elements = bucket.shard_elements * world;
  if (used < bucket.num_elements) {
    bucket.gaps.push_back({used, bucket.num_elements});
  }
}

}  // namespace

ShardLayout make_shard_layout(const model::ParamTable& table, int world, std::int64_t bucket_elements) {
  ShardLayout layout;
  layout.world = world;
  layout.places.resize(table.units.size());
  std::int64_t used = 0;
  std::int64_t before = 0;  // of the buckets that are closed
  for (auto unit = static_cast<int>(table.units.size()) - 1; unit >= 0; --unit) {
    const std::int64_t size = table.units[static_cast<std::size_t>(unit)].num_elements;
    const std::int64_t start = round_up(used, kAlignment);
    if (layout.buckets.empty() || start + size > bucket_elements) {
      if (!layout.buckets.empty()) {
        close(layout.buckets.back(), used, world);
        before += start;
      }
      layout.buckets.emplace_back().first_element = before;
      used = 0;
    } else if (start > used) {
      layout.buckets.back().gaps.push_back({used, start});
      used = start;
    }
    layout.buckets.back().units.push_back(unit);
    layout.places[static_cast<std::size_t>(unit)] = {static_cast<int>(layout.buckets.size()) - 1, used};
    used += size;
  }
  close(layout.buckets.back(), used, world);
  return layout;
}

void check_scale_blocks(const model::ParamTable& table) {
  for (std::size_t i = 1; i < table.params.size(); ++i) {
    const model::Param& param = table.params[i - 1];
    core::require<core::UserError>(
        param.unit != table.params[i].unit || param.num_elements() % core::kScaleBlock == 0, "engine",
        "--optimizer_state_dtype 8bit keeps moments in blocks of {}, and of {} elements of {} the last block would be "
        "shared with {}; use bf16 or fp32",
        core::kScaleBlock, param.num_elements(), param.name, table.params[i].name);
  }
}

std::vector<ParamRange> ShardLayout::ranges(const model::ParamTable& table, int bucket, int rank) const {
  const Bucket& whole = buckets[static_cast<std::size_t>(bucket)];
  const std::int64_t shard_begin = whole.shard_elements * rank;
  const std::int64_t shard_end = shard_begin + whole.shard_elements;
  std::vector<ParamRange> result;
  for (const int index : whole.units) {
    const model::Unit& unit = table.units[static_cast<std::size_t>(index)];
    std::int64_t start = places[static_cast<std::size_t>(index)].offset;
    for (int param = unit.first_param; param < unit.first_param + unit.num_params; ++param) {
      const std::int64_t size = table.params[static_cast<std::size_t>(param)].num_elements();
      const std::int64_t begin = std::max(start, shard_begin);
      const std::int64_t end = std::min(start + size, shard_end);
      if (begin < end) {
        result.push_back({param, begin - start, end - start, begin - shard_begin});
      }
      start += size;
    }
  }
  return result;
}

std::int64_t ShardLayout::num_elements() const {
  std::int64_t total = 0;
  for (const Bucket& bucket : buckets) {
    total += bucket.num_elements;
  }
  return total;
}

int num_offloaded_buckets(const ShardLayout& layout, double share) {
  // Half an element less: a share that was computed from whole buckets gives these again.
  const double wanted = share * static_cast<double>(layout.num_elements()) - 0.5;
  double held = 0;
  int count = 0;
  while (held < wanted && std::cmp_less(count, layout.buckets.size())) {
    held += static_cast<double>(layout.buckets[static_cast<std::size_t>(count++)].num_elements);
  }
  return count;
}

std::int64_t ShardLayout::largest_bucket_elements() const {
  return std::ranges::max_element(buckets,
                                  [](const Bucket& a, const Bucket& b) { return a.num_elements < b.num_elements; })
      ->num_elements;
}

}  // namespace tessera::engine

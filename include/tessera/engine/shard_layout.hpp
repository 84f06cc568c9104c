#pragma once

#include "tessera/core/scale_blocks.hpp"
#include "tessera/model/param_table.hpp"

#include <cstdint>
#include <vector>

namespace tessera::engine {

/// Where a unit lies: elements [offset, offset + its size) of a bucket.
struct UnitPlace {
  int bucket = 0;
  std::int64_t offset = 0;
};

/// A stretch of one parameter inside a shard: elements [begin, end) of the parameter, row-major, which start at
/// `offset` of the shard.
struct ParamRange {
  int param = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t offset = 0;

  [[nodiscard]] std::int64_t num_elements() const { return end - begin; }
};

/// Elements [begin, end) of a bucket that belong to no parameter.
struct Gap {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// One contiguous buffer of parameters (and, while they are made, of gradients). Its units are those that backward
/// finishes one after another. num_elements = world x shard_elements; rank r owns shard r.
struct Bucket {
  std::vector<int> units;  ///< in the order in which backward finishes them
  std::int64_t num_elements = 0;
  std::int64_t shard_elements = 0;
  std::vector<Gap> gaps;  ///< padding
  /// Index of the first element where all units lie one after the other as in one bucket: with an element's place in
  /// the bucket, what random numbers are counted by. It depends neither on the world nor on the buckets' size.
  std::int64_t first_element = 0;
};

/// Where every parameter lies and who owns what: a pure function of the table, the world size and the bucket size.
struct ShardLayout {
  int world = 1;
  std::vector<Bucket> buckets;    ///< in the order in which backward finishes them
  std::vector<UnitPlace> places;  ///< by unit

  /// The parameters in rank `rank`'s shard of a bucket, in order of offset.
  [[nodiscard]] std::vector<ParamRange> ranges(const model::ParamTable& table, int bucket, int rank) const;

  [[nodiscard]] std::int64_t num_elements() const;  ///< all buckets, padding too
  [[nodiscard]] std::int64_t largest_bucket_elements() const;
};

/// The least number of buckets that hold `share` of all elements: those are offloaded, from the first one on. The next
/// forward pass needs them last, and so leaves the longest time for their way over the bus.
int num_offloaded_buckets(const ShardLayout& layout, double share);

/// Shards and units start at multiples of this: 128 bytes of bf16.
constexpr std::int64_t kAlignment = 64;

/// Throws UserError where blocks of moments in 8 bits (core::kScaleBlock) would begin in one parameter and end in the
/// next one of its unit. Shards and units begin with blocks.
void check_scale_blocks(const model::ParamTable& table);
static_assert(kAlignment % core::kScaleBlock == 0);

/// Units go into a bucket until the next one would carry it past `bucket_elements`; a unit is never split, so that a
/// larger one has a bucket to itself.
ShardLayout make_shard_layout(const model::ParamTable& table, int world, std::int64_t bucket_elements);

}  // namespace tessera::engine

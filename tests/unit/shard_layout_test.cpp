#include "tessera/engine/shard_layout.hpp"
#include "tessera/core/error.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tessera::engine {
namespace {

config::ModelShape small_shape() {
  config::ModelShape shape;
  shape.hidden_size = 48;
  shape.intermediate_size = 100;
  shape.num_hidden_layers = 3;
  shape.num_attention_heads = 4;
  shape.num_key_value_heads = 2;
  shape.head_dim = 10;
  return shape;
}
const model::Geometry kGeometry{28, 7, 10};

class ShardLayoutTest : public testing::TestWithParam<int> {};

// Every element of every parameter belongs to exactly one rank, whatever the world and the bucket size.
TEST_P(ShardLayoutTest, CoversEveryElementOnce) {
  const int world = GetParam();
  const model::ParamTable table = model::build_param_table(small_shape(), kGeometry);
  for (const std::int64_t bucket_elements : {std::int64_t{1}, std::int64_t{5000}, std::int64_t{1} << 40U}) {
    const ShardLayout layout = make_shard_layout(table, world, bucket_elements);
    std::vector<std::int64_t> next(table.params.size(), 0);
    for (int bucket = 0; bucket < static_cast<int>(layout.buckets.size()); ++bucket) {
      for (int rank = 0; rank < world; ++rank) {
        std::int64_t offset = 0;
        for (const ParamRange& range : layout.ranges(table, bucket, rank)) {
          ASSERT_EQ(range.begin, next[static_cast<std::size_t>(range.param)]);
          ASSERT_GE(range.offset, offset);
          next[static_cast<std::size_t>(range.param)] = range.end;
          offset = range.offset + range.num_elements();
        }
        ASSERT_LE(offset, layout.buckets[static_cast<std::size_t>(bucket)].shard_elements);
      }
    }
    for (std::size_t param = 0; param < table.params.size(); ++param) {
      ASSERT_EQ(next[param], table.params[param].num_elements()) << table.params[param].name;
    }
  }
}

// What random bits are counted by: the same in every world, and however the units are put into buckets.
TEST_P(ShardLayoutTest, NumbersElementsAsInOneBucket) {
  const model::ParamTable table = model::build_param_table(small_shape(), kGeometry);
  const ShardLayout one = make_shard_layout(table, 1, std::int64_t{1} << 40U);
  ASSERT_EQ(one.buckets.size(), 1U);
  for (const std::int64_t bucket_elements : {std::int64_t{1}, std::int64_t{5000}, std::int64_t{20000}}) {
    const ShardLayout layout = make_shard_layout(table, GetParam(), bucket_elements);
    EXPECT_GT(layout.buckets.size(), 2U);
    for (std::size_t unit = 0; unit < layout.places.size(); ++unit) {
      const UnitPlace& place = layout.places[unit];
      EXPECT_EQ(layout.buckets[static_cast<std::size_t>(place.bucket)].first_element + place.offset,
                one.places[unit].offset)
          << unit;
    }
  }
}

// The class token lies behind the bias of the patch embedding, in one unit.
TEST(ScaleBlocks, AreOfOneParameterEach) {
  config::ModelShape shape = small_shape();
  EXPECT_NO_THROW(check_scale_blocks(model::build_param_table(shape, kGeometry)));
  model::Geometry with_token = kGeometry;
  with_token.pooling = config::Pooling::kClassToken;
  try {
    check_scale_blocks(model::build_param_table(shape, with_token));
    ADD_FAILURE() << "48 elements are no whole blocks";
  } catch (const core::UserError& error) {
    EXPECT_NE(std::string(error.what())
                  .find("of 48 elements of patch_embed.proj.bias the last block would be shared "
                        "with cls_token; use bf16 or fp32"),
              std::string::npos)
        << error.what();
  }
  shape.hidden_size = 64;
  EXPECT_NO_THROW(check_scale_blocks(model::build_param_table(shape, with_token)));
}

TEST_P(ShardLayoutTest, PadsEachShardToTheAlignment) {
  const int world = GetParam();
  const model::ParamTable table = model::build_param_table(small_shape(), kGeometry);
  const ShardLayout layout = make_shard_layout(table, world, 20000);
  for (const Bucket& bucket : layout.buckets) {
    EXPECT_EQ(bucket.num_elements, bucket.shard_elements * world);
    EXPECT_EQ(bucket.shard_elements % kAlignment, 0);
    std::int64_t padding = 0;
    for (const Gap& gap : bucket.gaps) {
      padding += gap.end - gap.begin;
    }
    std::int64_t used = 0;
    for (const int unit : bucket.units) {
      used += table.units[static_cast<std::size_t>(unit)].num_elements;
      EXPECT_EQ(layout.places[static_cast<std::size_t>(unit)].offset % kAlignment, 0);
    }
    EXPECT_EQ(used + padding, bucket.num_elements);
  }
}

INSTANTIATE_TEST_SUITE_P(Worlds, ShardLayoutTest, testing::Values(1, 2, 3, 4, 5, 8, 17, 64, 256, 1000, 1024, 4096));

TEST(ShardLayout, KeepsTheOrderInWhichBackwardFinishes) {
  const model::ParamTable table = model::build_param_table(small_shape(), kGeometry);
  const ShardLayout layout = make_shard_layout(table, 2, 5000);
  int expected = static_cast<int>(table.units.size()) - 1;
  for (const Bucket& bucket : layout.buckets) {
    for (const int unit : bucket.units) {
      EXPECT_EQ(unit, expected--);
    }
  }
  EXPECT_EQ(expected, -1);
  EXPECT_GT(layout.buckets.size(), 10U);
}

TEST(ShardLayout, GivesAUnitLargerThanTheBucketABucketToItself) {
  const model::ParamTable table = model::build_param_table(small_shape(), kGeometry);
  const ShardLayout layout = make_shard_layout(table, 1, 5000);
  const model::BlockUnits units = model::block_units(1);
  const auto& place = layout.places[static_cast<std::size_t>(units.gate_up)];
  EXPECT_EQ(layout.buckets[static_cast<std::size_t>(place.bucket)].units, std::vector<int>{units.gate_up});
  EXPECT_EQ(layout.largest_bucket_elements(), 2 * 100 * 48);
}

TEST(ShardLayout, OffloadsTheFewestBucketsThatHoldTheShare) {
  const ShardLayout layout = make_shard_layout(model::build_param_table(small_shape(), kGeometry), 2, 5000);
  const auto num_buckets = static_cast<int>(layout.buckets.size());
  EXPECT_EQ(num_offloaded_buckets(layout, 0), 0);
  EXPECT_EQ(num_offloaded_buckets(layout, 1), num_buckets);
  const auto total = static_cast<double>(layout.num_elements());
  double held = 0;
  for (int count = 0; count < num_buckets; ++count) {
    EXPECT_EQ(num_offloaded_buckets(layout, held / total), count);
    EXPECT_EQ(num_offloaded_buckets(layout, (held + 1) / total), count + 1);
    held += static_cast<double>(layout.buckets[static_cast<std::size_t>(count)].num_elements);
  }
}

TEST(ParamTable, HasThePublishedSizes) {
  // Qwen3-8B: 36 blocks and the final norm have 6,946,075,648 parameters; 224 px, patch 16 and 100 classes add
  // 3,149,824 and 409,700.
  config::ModelShape shape;
  shape.hidden_size = 4096;
  shape.intermediate_size = 12288;
  shape.num_hidden_layers = 36;
  shape.num_attention_heads = 32;
  shape.num_key_value_heads = 8;
  shape.head_dim = 128;
  const model::ParamTable table = model::build_param_table(shape, {224, 16, 100});
  EXPECT_EQ(table.num_elements(), 6'946'075'648 + 3'149'824 + 409'700);
  EXPECT_EQ(table
                .params[static_cast<std::size_t>(
                            table.units[static_cast<std::size_t>(model::block_units(35).qkv)].first_param) +
                        1]
                .name,
            "qwen.layers.35.self_attn.k_proj.weight");
  EXPECT_EQ(table.params.back().name, "classifier.bias");
  EXPECT_FALSE(table.params.back().decays);
  EXPECT_EQ(table.params.back().depth, 37);
}

}  // namespace
}  // namespace tessera::engine

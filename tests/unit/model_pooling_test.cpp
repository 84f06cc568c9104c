// What a mean or a class token in place of the last token changes in parameters, FLOPs and memory.
#include "support/small_model.hpp"
#include "tessera/model/activations.hpp"
#include "tessera/model/flops.hpp"
#include "tessera/model/param_table.hpp"

#include <gtest/gtest.h>

namespace tessera::model {
namespace {

Geometry with(config::Pooling pooling) {
  Geometry geometry = test::kSmallGeometry;
  geometry.pooling = pooling;
  return geometry;
}
const Geometry kLast = with(config::Pooling::kLastToken);
const Geometry kMean = with(config::Pooling::kMean);
const Geometry kClass = with(config::Pooling::kClassToken);

TEST(Pooling, TheClassTokenIsOneMoreParameterAndNoOtherMoves) {
  const ParamTable plain = build_param_table(test::small_shape(), kLast);
  const ParamTable table = build_param_table(test::small_shape(), kClass);
  EXPECT_EQ(table.units.size(), plain.units.size());
  EXPECT_EQ(table.num_elements(), plain.num_elements() + 32);
  EXPECT_EQ(build_param_table(test::small_shape(), kMean).num_elements(), plain.num_elements());
  const Param& token = table.params.at(2);
  EXPECT_EQ(token.name, "cls_token");
  EXPECT_EQ(token.shape, (std::vector<std::int64_t>{1, 1, 32}));
  EXPECT_EQ(token.unit, kPatchBiasUnit);
  EXPECT_EQ(token.depth, 0) << "timm's layer decay puts it beside the patch embedding";
  EXPECT_FALSE(token.decays) << "it is in timm's no_weight_decay()";
  EXPECT_EQ(table.params.at(3).unit, block_units(0).qkv);
  EXPECT_EQ(kClass.num_tokens(), 26);
  EXPECT_EQ(kMean.num_tokens(), 25);
}

// The last block's products for every token but one more: q and output projection, three of the feed-forward; and its
// attention, where one token reads T keys and all of them read T^2 / 2.
TEST(Pooling, AMeanNeedsTheWholeLastBlock) {
  const config::ModelShape shape = test::small_shape();
  const double tokens = 25;
  const double products = 2 * (2 * 32 * 32 + 3 * 32 * 48);
  const double attention = 2 * tokens * tokens * 32 - 4 * tokens * 32;
  EXPECT_DOUBLE_EQ(forward_flops_per_image(shape, kMean) - forward_flops_per_image(shape, kLast),
                   (tokens - 1) * products + attention);
  EXPECT_DOUBLE_EQ(training_flops_per_image(shape, kMean, 3), forward_flops_per_image(shape, kMean) + 2.0 * 2 * 32 * 7)
      << "where all blocks are frozen the head alone is trained";
}

TEST(Pooling, AMeanKeepsTheWholeLastBlock) {
  const config::ModelShape shape = test::small_shape();
  config::ModelShape deeper = shape;
  ++deeper.num_hidden_layers;
  const auto kept = [](const config::ModelShape& of, const Geometry& geometry) {
    return predict_activation_bytes(of, geometry, 4, 2, {}).kept;
  };
  const std::int64_t whole_block = kept(deeper, kLast) - kept(shape, kLast);
  EXPECT_EQ(kept(deeper, kMean) - kept(shape, kMean), whole_block);
  EXPECT_EQ(kept(shape, kMean) - kept(shape, kLast), std::int64_t{4} * 25 * 2 * (32 + 2 * 48));
}

}  // namespace
}  // namespace tessera::model

// Which branches stochastic depth drops, and what it makes of the others.
#include "tessera/model/drop_path.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace tessera::model {
namespace {

std::vector<std::int64_t> images(std::int64_t first, std::int64_t count) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), first);
  return indices;
}

at::Tensor draw(const DropPath& drop, std::int64_t epoch, std::int64_t first, std::int64_t count) {
  return draw_branch_scales(drop, epoch, images(first, count), c10::kCPU);
}

// As timm's VisionTransformer: torch.linspace(0, drop_path_rate, depth).
TEST(DropPath, TheRateRisesLinearlyWithDepth) {
  for (const std::int64_t depth : {1, 2, 5, 28}) {
    const DropPath drop{0.3, depth, 0};
    const at::Tensor expected = at::linspace(0, 0.3, depth, at::kDouble);
    for (std::int64_t block = 0; block < depth; ++block) {
      EXPECT_NEAR(drop.rate_of(block), expected[block].item<double>(), 1e-15) << block << " of " << depth;
    }
  }
}

// Of n images a share p of branches is dropped, with a standard deviation of sqrt(p (1 - p) / n); the bound is five of
// them. What is kept is scaled by 1 / (1 - p).
TEST(DropPath, DropsTheShareItSaysAndKeepsTheMean) {
  constexpr std::int64_t kBlocks = 5;
  constexpr std::int64_t kImages = 20000;
  const DropPath drop{0.6, kBlocks, 7};
  const at::Tensor scales_L2B = draw(drop, 3, 0, kImages);
  ASSERT_EQ(scales_L2B.sizes(), (std::vector<std::int64_t>{kBlocks, 2, kImages}));
  for (std::int64_t block = 0; block < kBlocks; ++block) {
    const double rate = drop.rate_of(block);
    for (std::int64_t branch = 0; branch < 2; ++branch) {
      const at::Tensor scales_B = scales_L2B[block][branch];
      const at::Tensor dropped_B = scales_B.eq(0);
      const double bound = 5 * std::sqrt(rate * (1 - rate) / kImages);
      EXPECT_NEAR(dropped_B.to(at::kDouble).mean().item<double>(), rate, bound) << block << " " << branch;
      EXPECT_TRUE(at::logical_or(dropped_B, scales_B.eq(static_cast<float>(1 / (1 - rate)))).all().item<bool>());
    }
  }
}

TEST(DropPath, BranchesBlocksEpochsAndSeedsDrawForThemselves) {
  const DropPath drop{0.9, 3, 7};
  const at::Tensor scales_L2B = draw(drop, 0, 0, 100);
  EXPECT_FALSE(at::equal(scales_L2B[1][0], scales_L2B[1][1]));
  EXPECT_FALSE(at::equal(scales_L2B[1][0].eq(0), scales_L2B[2][0].eq(0)));
  EXPECT_FALSE(at::equal(draw(drop, 1, 0, 100), scales_L2B));
  EXPECT_FALSE(at::equal(draw({0.9, 3, 8}, 0, 0, 100), scales_L2B));
  EXPECT_TRUE(at::equal(draw(drop, 0, 0, 100), scales_L2B));
}

TEST(DropPath, AnImageIsTreatedAlikeInAnyMicroBatch) {
  const DropPath drop{0.5, 4, 1};
  EXPECT_TRUE(at::equal(draw(drop, 2, 30, 10), draw(drop, 2, 0, 100).narrow(2, 30, 10)));
}

TEST(DropPath, TheFirstBlockIsNeverScaled) {
  const at::Tensor scales_L2B = draw({0.5, 4, 1}, 0, 0, 8);
  EXPECT_FALSE(scales_of_block(scales_L2B, 0).attention_B.defined());
  EXPECT_TRUE(scales_of_block(scales_L2B, 1).feed_forward_B.equal(scales_L2B[1][1]));
  EXPECT_FALSE(scales_of_block({}, 1).attention_B.defined()) << "without stochastic depth nothing is multiplied";
}

}  // namespace
}  // namespace tessera::model

// Memory plan and checkpoint of runs on up to 4,096 ranks, in one process.
#include "checkpoint/limits.hpp"
#include "checkpoint/manifest.hpp"
#include "tessera/config/model_shape.hpp"
#include "tessera/engine/memory_plan.hpp"
#include "tessera/engine/shard_layout.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace tessera {
namespace {

constexpr std::int64_t kBucketElements = 50'000'000;
const model::Geometry kGeometry{224, 16, 100};

class ScaleTest : public testing::TestWithParam<int> {};

std::int64_t bytes_of(const engine::MemoryPlan& plan, std::string_view name) {
  const auto found = std::ranges::find(plan.items, name, &engine::MemoryItem::name);
  EXPECT_NE(found, plan.items.end()) << name;
  return found == plan.items.end() ? 0 : found->bytes;
}

engine::PlannedRun run_on(int world, int stage) {
  engine::PlannedRun run;
  run.shape = config::model_of("qwen3-8b");
  run.geometry = kGeometry;
  run.batch_size = 8;
  run.world = world;
  run.options.compute = at::kBFloat16;
  run.options.device = c10::kCUDA;
  run.options.zero_stage = stage;
  run.options.bucket_elements = kBucketElements;
  return run;
}

// What ZeRO spreads is spread: a rank's part is its share and less than a tenth of a percent of the whole in padding.
TEST_P(ScaleTest, AMemoryPlanSpreadsWhatZeroSpreads) {
  const int world = GetParam();
  const engine::MemoryPlan whole = engine::plan_memory(run_on(world, 0));
  const engine::MemoryPlan spread = engine::plan_memory(run_on(world, 2));
  const std::int64_t optimizer = bytes_of(whole, "optimizer");
  EXPECT_GE(bytes_of(spread, "optimizer"), optimizer / world);
  EXPECT_LE(bytes_of(spread, "optimizer"), optimizer / world + optimizer / 1000);
  EXPECT_LE(spread.total(), whole.total());
}

// Every rank's pieces of every tensor, as save() lists them: they make up the tensors, and the manifest that says so is
// one that readers take.
TEST_P(ScaleTest, ACheckpointOfAllRanksIsWhole) {
  const int world = GetParam();
  const model::ParamTable table = model::build_param_table(config::model_of("qwen3-0.6b"), kGeometry);
  const engine::ShardLayout layout = engine::make_shard_layout(table, world, kBucketElements);
  checkpoint::Manifest manifest;
  std::int64_t offset = 4096;
  for (const model::Param& param : table.params) {
    manifest.tensors.push_back(
        {{param.name, state::Component::kMaster, core::DType::kFloat32, param.shape}, offset, {}});
    offset += param.num_elements() * 4;
  }
  manifest.state_bytes = offset;
  for (int bucket = 0; bucket < static_cast<int>(layout.buckets.size()); ++bucket) {
    for (int rank = 0; rank < world; ++rank) {
      for (const engine::ParamRange& range : layout.ranges(table, bucket, rank)) {
        auto& pieces = manifest.tensors[static_cast<std::size_t>(range.param)].ranges;
        for (std::int64_t begin = range.begin; begin < range.end; begin += checkpoint::kPieceBytes / 4) {
          pieces.push_back({begin, std::min(range.end, begin + checkpoint::kPieceBytes / 4), 0});
        }
      }
    }
  }
  for (const checkpoint::StoredTensor& tensor : manifest.tensors) {
    EXPECT_FALSE(checkpoint::find_fault(tensor, manifest.state_bytes)) << tensor.name();
  }
  const std::string text = checkpoint::to_text(manifest);
  EXPECT_LT(static_cast<std::int64_t>(text.size()), checkpoint::kLargestManifest / 16);
  const checkpoint::Manifest read = checkpoint::parse_manifest(text, "manifest.json");
  ASSERT_EQ(read.tensors.size(), manifest.tensors.size());
  EXPECT_EQ(read.tensors.back().ranges.size(), manifest.tensors.back().ranges.size());
}

INSTANTIATE_TEST_SUITE_P(Worlds, ScaleTest, testing::Values(2, 7, 64, 1024, 4096));

}  // namespace
}  // namespace tessera

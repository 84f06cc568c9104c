// The memory plan: what recomputation saves, and the choice of it. That plans are true of runs is measured on GPUs.
#include "tessera/engine/memory_plan.hpp"
#include "tessera/config/model_shape.hpp"
#include "tessera/engine/shard_layout.hpp"

#include <gtest/gtest.h>

namespace tessera::engine {
namespace {

using model::RecomputePolicy;

PlannedRun planned(const RecomputePolicy& recompute) {
  PlannedRun run;
  run.shape = config::model_of("qwen3-4b");
  run.geometry = {224, 16, 100};
  run.batch_size = 32;
  run.recompute = recompute;
  run.options.compute = at::kBFloat16;
  run.options.device = c10::kCUDA;
  return run;
}

std::int64_t total(const RecomputePolicy& recompute) { return plan_memory(planned(recompute)).total(); }

std::int64_t bytes_of(const MemoryPlan& plan, std::string_view name) {
  for (const MemoryItem& item : plan.items) {
    if (item.name == name) {
      return item.bytes;
    }
  }
  ADD_FAILURE() << "no item " << name;
  return 0;
}

constexpr std::int64_t kRows = 32 * 196;
constexpr std::int64_t kGateUp = 2 * 9728 * 2;  // bytes a row of qwen3-4b in bf16
constexpr std::int64_t kBlocks = 36;

TEST(MemoryPlan, ABlockSavesWhatItLeavesOut) {
  for (const std::int64_t blocks : {1, 5, 35}) {
    EXPECT_EQ(
        bytes_of(plan_memory(planned({})), "activations") - bytes_of(plan_memory(planned({0, blocks})), "activations"),
        blocks * kRows * kGateUp);
    EXPECT_LT(total({blocks, 0}), total({0, blocks}));
  }
  EXPECT_EQ(total({kBlocks, 0}), total({kBlocks - 1, 0})) << "the last block is never recomputed";
  EXPECT_EQ(total({0, kBlocks}), total({0, kBlocks - 1}));
}

TEST(MemoryPlan, Bf16ParametersTakeFourteenBytes) {
  const MemoryPlan plan = plan_memory(planned({}));
  const std::int64_t parameters = bytes_of(plan, "parameters") / 2;
  EXPECT_EQ(bytes_of(plan, "gradients"), 2 * parameters);
  EXPECT_EQ(bytes_of(plan, "optimizer"), (2 + 4 + 4) * parameters);
}

TEST(MemoryPlan, MomentsInBf16TakeHalf) {
  PlannedRun run = planned({});
  const std::int64_t parameters = bytes_of(plan_memory(run), "parameters") / 2;
  run.options.optimizer.state_dtype = config::StateDType::kBFloat16;
  EXPECT_EQ(bytes_of(plan_memory(run), "optimizer"), (2 + 2 + 2) * parameters);
  run.options.average_decay = 0.9;
  EXPECT_EQ(bytes_of(plan_memory(run), "optimizer"), (2 + 2 + 2 + 4) * parameters);
  run.options.optimizer.kind = config::OptimizerKind::kSgd;
  EXPECT_EQ(bytes_of(plan_memory(run), "optimizer"), (2 + 2 + 4) * parameters);
}

TEST(MemoryPlan, MomentsIn8BitsTakeAQuarterAndTheirScales) {
  PlannedRun run = planned({});
  const std::int64_t parameters = bytes_of(plan_memory(run), "parameters") / 2;
  run.options.optimizer.state_dtype = config::StateDType::k8Bit;
  EXPECT_EQ(bytes_of(plan_memory(run), "optimizer"), (2 + 1 + 1) * parameters + 2 * parameters / 16);
  EXPECT_EQ(run.options.state_bytes(6400), 6400 * 2 + 100 * 8);
  EXPECT_EQ(run.options.stored_state_bytes(6400), 6400 * 8) << "a checkpoint has the numbers themselves";
  run.options.average_decay = 0.9;
  run.options.optimizer.kind = config::OptimizerKind::kSgd;
  EXPECT_EQ(bytes_of(plan_memory(run), "optimizer"), (2 + 1 + 4) * parameters + parameters / 16);
}

// A bf16 parameter: 10 bytes of the optimizer, and 2 of the gradient. Of both, 4 chunks are on their way: as many whole
// parameters, by the 64, as there is room for.
TEST(MemoryPlan, OffloadMovesToTheHost) {
  PlannedRun run = planned({});
  const MemoryPlan kept = plan_memory(run);
  run.options.zero_stage = 2;
  run.options.offload = 1;
  const MemoryPlan plan = plan_memory(run);
  const std::int64_t parameters = bytes_of(plan, "parameters") / 2;
  EXPECT_EQ(plan.host_total(), 10 * parameters);
  const std::int64_t room = run.options.offload_chunk_bytes;
  const std::int64_t ring = 4 * (room / (10 * kAlignment)) * 10 * kAlignment;
  EXPECT_EQ(bytes_of(plan, "offload ring"), ring);
  EXPECT_EQ(plan.total(), kept.total() - bytes_of(kept, "optimizer") + ring);
  run.options.offload_gradients = true;
  const MemoryPlan least = plan_memory(run);
  EXPECT_EQ(least.host_total(), (10 + 2) * parameters);
  EXPECT_EQ(least.total(), plan.total() - bytes_of(plan, "gradients") + bytes_of(least, "gradient ring") - ring +
                               4 * (room / (12 * kAlignment)) * 12 * kAlignment);
}

TEST(MemoryPlan, OffloadOfAProbesHeadIsPlannedToo) {
  PlannedProbe probe;
  probe.shape = config::model_of("qwen3-4b");
  probe.geometry = {224, 16, 100};
  probe.head.zero_stage = 2;
  const MemoryPlan kept = plan_probe_memory(probe);
  EXPECT_EQ(kept.host_total(), 0);
  probe.head.offload = 1;
  const MemoryPlan plan = plan_probe_memory(probe);
  const std::int64_t parameters = bytes_of(plan, "head: parameters") / 4;
  EXPECT_EQ(plan.host_total(), 2 * 4 * parameters);
  EXPECT_EQ(plan.total(), kept.total()) << "so little passes through the ring in one piece";
}

// Each offloaded parameter leaves one side and comes to the other; the ring is there as soon as there is any.
TEST(MemoryPlan, PartialOffloadMovesItsPart) {
  PlannedRun run = planned({});
  run.options.zero_stage = 2;
  run.options.offload = 1;
  run.options.offload_gradients = true;
  const MemoryPlan all = plan_memory(run);
  const std::int64_t parameters = bytes_of(all, "parameters") / 2;
  std::int64_t last = 0;
  for (const double share : {0.25, 0.5, 0.75}) {
    run.options.offload = share;
    const MemoryPlan plan = plan_memory(run);
    const std::int64_t on_host = plan.host_total() / (10 + 2);
    EXPECT_GE(static_cast<double>(on_host), share * static_cast<double>(parameters));
    EXPECT_LT(static_cast<double>(on_host), (share + 0.1) * static_cast<double>(parameters)) << "whole buckets";
    EXPECT_EQ(plan.total() - all.total(), (2 + 8 + 2) * (parameters - on_host)) << "low halves, moments, gradients";
    EXPECT_GT(on_host, last);
    last = on_host;
  }
}

TEST(CheapestOffload, IsTheLeastThatFits) {
  PlannedRun run = planned({});
  run.options.zero_stage = 2;
  const std::int64_t none = plan_memory(run).total();
  EXPECT_EQ(cheapest_offload(run, none), 0);
  run.options.offload = 1;
  const std::int64_t least = plan_memory(run).total();
  EXPECT_EQ(cheapest_offload(run, least - 1), 1) << "where none fits";
  for (int part = 0; part < 10; ++part) {
    const std::int64_t bytes = least + (none - least) * part / 10;
    run.options.offload = cheapest_offload(run, bytes);
    EXPECT_LE(plan_memory(run).total(), bytes);
    run.options.offload -= 0.02;  // no bucket is as small as that
    EXPECT_GT(plan_memory(run).total(), bytes) << part;
  }
}

TEST(CheapestRecompute, IsNoneWhereEverythingFits) {
  EXPECT_TRUE(cheapest_recompute(planned({}), total({})).is_none());
  const RecomputePolicy one = cheapest_recompute(planned({}), total({}) - 1);
  EXPECT_EQ(one.whole_blocks, 0);
  EXPECT_EQ(one.feed_forwards, 1);
}

TEST(CheapestRecompute, IsTheLeastThatFits) {
  const std::int64_t most = total({kBlocks - 1, 0});
  for (int part = 0; part < 20; ++part) {
    const std::int64_t bytes = most + (total({}) - most) * part / 20;
    const RecomputePolicy policy = cheapest_recompute(planned({}), bytes);
    EXPECT_LE(total(policy), bytes);
    const bool has_whole = policy.whole_blocks > 0;
    const RecomputePolicy less = has_whole ? RecomputePolicy{policy.whole_blocks - 1, policy.feed_forwards + 1}
                                           : RecomputePolicy{0, policy.feed_forwards - 1};
    EXPECT_GT(total(less), bytes) << part;
  }
}

TEST(CheapestRecompute, IsAllThereIsWhereNothingFits) {
  const RecomputePolicy policy = cheapest_recompute(planned({}), 1);
  EXPECT_EQ(policy.whole_blocks, kBlocks - 1);
  EXPECT_EQ(policy.feed_forwards, 0);
}

TEST(CheapestRecompute, CountsTrainedBlocksAlone) {
  PlannedRun run = planned({});
  run.frozen_blocks = 30;
  const RecomputePolicy policy = cheapest_recompute(run, 1);
  EXPECT_EQ(policy.whole_blocks, 5);
  run.frozen_blocks = kBlocks;
  EXPECT_TRUE(cheapest_recompute(run, 1).is_none());
}

}  // namespace
}  // namespace tessera::engine

#include "tessera/engine/memory_plan.hpp"

#include "engine/gradient_buckets.hpp"
#include "tessera/engine/shard_layout.hpp"
#include "tessera/model/activations.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace tessera::engine {
namespace {

std::int64_t bytes_of(at::ScalarType type) { return static_cast<std::int64_t>(c10::elementSize(type)); }

// cuBLAS is given 32 MiB on Hopper by ATen, and cuBLASLt as much again.
constexpr std::int64_t kGpuWorkspaceBytes = std::int64_t{64} << 20U;

std::vector<MemoryItem> gradient_items(const PlannedRun& run, const ShardLayout& layout) {
  const EngineOptions& options = run.options;
  const std::int64_t whole = layout.num_elements();
  const std::int64_t slots =
      std::min<std::int64_t>(ring_size(options), static_cast<std::int64_t>(layout.buckets.size()));
  const std::int64_t ring = layout.largest_bucket_elements() * slots;
  const bool casts = options.wire != options.compute;
  switch (choose_gradient_strategy(options, run.world)) {
    case GradientStrategy::kDirect:
      return {{"gradients", whole * bytes_of(options.compute), "whole, reduced in place"}};
    case GradientStrategy::kAccumulated:
      return {{"gradients", whole * 4, "whole, summed over micro-steps in fp32"},
              {"gradient ring", ring * bytes_of(options.compute), fmt::format("{} whole buckets", slots)},
              {"wire ring", options.wire != at::kFloat && run.world > 1 ? ring * bytes_of(options.wire) : 0,
               "cast buckets"}};
    case GradientStrategy::kPartitioned:
      break;
  }
  const std::int64_t kept = options.accumulation_steps == 1 ? bytes_of(options.wire) : 4;
  return {{"gradients", whole / run.world * kept, "this rank's shard"},
          {"gradient ring", ring * bytes_of(options.compute), fmt::format("{} whole buckets", slots)},
          {"wire ring", casts ? ring * bytes_of(options.wire) : 0, "cast buckets"}};
}

std::int64_t sum_of(const std::vector<MemoryItem>& items) {
  std::int64_t sum = 0;
  for (const MemoryItem& item : items) {
    sum += item.bytes;
  }
  return sum;
}

}  // namespace

std::int64_t MemoryPlan::total() const { return sum_of(items); }
std::int64_t MemoryPlan::host_total() const { return sum_of(host_items); }

MemoryPlan plan_memory(const PlannedRun& run) {
  const EngineOptions& options = run.options;
  const model::ParamTable table = model::build_param_table(run.shape, run.geometry);
  const ShardLayout layout = make_shard_layout(table, run.world, options.bucket_elements);
  const std::int64_t whole = layout.num_elements();
  const std::int64_t owned = options.zero_stage == 0 ? whole : whole / run.world;
  const std::int64_t element = bytes_of(options.compute);
  const bool has_master = options.compute != at::kFloat;
  const std::int64_t fp32_copies = num_moments(options.optimizer.kind) + (has_master ? 1 : 0);
  const auto activations =
      model::predict_activation_bytes(run.shape, run.geometry, run.batch_size, element, run.recompute);
  const std::int64_t image_elements = 3 * run.geometry.input_size * run.geometry.input_size;

  MemoryPlan plan;
  plan.items = {{"parameters", whole * element, "whole, on every rank"},
                {"optimizer", owned * 4 * fp32_copies,
                 fmt::format("{}{} in fp32, {}", has_master ? "master, " : "",
                             num_moments(options.optimizer.kind) == 2 ? "exp_avg and exp_avg_sq" : "momentum_buffer",
                             options.zero_stage == 0 ? "whole" : "this rank's shard")}};
  for (MemoryItem& item : gradient_items(run, layout)) {
    if (item.bytes > 0) {
      plan.items.push_back(std::move(item));
    }
  }
  plan.items.push_back(
      {"activations", activations.kept, run.recompute ? "each block's input, kept for backward" : "kept for backward"});
  plan.items.push_back({"working memory", activations.transient, "of the block that is being computed"});
  plan.items.push_back({"images", 2 * run.batch_size * image_elements * element, "this micro-batch and its patches"});
  if (!options.device.is_cpu()) {
    plan.items.push_back({"workspace", kGpuWorkspaceBytes, "of the matrix library"});
  }
  if (run.snapshots) {
    // At every stage a rank saves its own shard.
    plan.host_items.push_back({"snapshot", whole / run.world * (element + 4 * fp32_copies),
                               "of this rank's shard, from which checkpoints are written"});
  }
  return plan;
}

}  // namespace tessera::engine

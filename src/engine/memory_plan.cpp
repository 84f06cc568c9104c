#include "tessera/engine/memory_plan.hpp"

#include "engine/gradient_buckets.hpp"
#include "engine/state_ring.hpp"
#include "tessera/engine/shard_layout.hpp"
#include "tessera/model/activations.hpp"
#include "tessera/model/linear_probe.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <ranges>
#include <string>

namespace tessera::engine {
namespace {

std::int64_t bytes_of(at::ScalarType type) { return static_cast<std::int64_t>(c10::elementSize(type)); }

// cuBLAS is given 32 MiB on Hopper by ATen, and cuBLASLt as much again.
constexpr std::int64_t kGpuWorkspaceBytes = std::int64_t{64} << 20U;

// What of a layout's elements is whose, in whole buckets.
struct Sides {
  std::int64_t device = 0;
  std::int64_t host = 0;
  std::string on_host;  // "13 of 21 buckets"; empty: none or all
};

Sides sides_of(const EngineOptions& options, const ShardLayout& layout) {
  const auto num_buckets = static_cast<int>(layout.buckets.size());
  const int num_on_host = num_offloaded_buckets(layout, options.offload);
  Sides sides;
  for (const Bucket& bucket : layout.buckets | std::views::take(num_on_host)) {
    sides.host += bucket.num_elements;
  }
  sides.device = layout.num_elements() - sides.host;
  if (num_on_host > 0 && num_on_host < num_buckets) {
    sides.on_host = fmt::format("{} of {} buckets", num_on_host, num_buckets);
  }
  return sides;
}

std::vector<MemoryItem> gradient_items(const EngineOptions& options, const ShardLayout& layout) {
  const std::int64_t whole = layout.num_elements();
  const std::int64_t slots =
      std::min<std::int64_t>(ring_size(options), static_cast<std::int64_t>(layout.buckets.size()));
  const std::int64_t ring = layout.largest_bucket_elements() * slots;
  const MemoryItem made{"gradient ring", ring * bytes_of(options.compute), fmt::format("{} whole buckets", slots)};
  const auto cast_if = [&](bool casts) {
    return MemoryItem{"wire ring", casts ? ring * bytes_of(options.wire) : 0, "cast buckets"};
  };
  const bool casts = options.wire != options.compute;
  switch (choose_gradient_strategy(options, layout.world)) {
    case GradientStrategy::kDirect:
      return {{"gradients", whole * bytes_of(options.compute), "whole, reduced in place"}};
    case GradientStrategy::kAccumulated:
      return {{"gradients", whole * 4, "whole, summed over micro-steps in fp32"},
              made,
              cast_if(options.wire != at::kFloat && layout.world > 1)};
    case GradientStrategy::kPartitioned:
      break;
  }
  const std::int64_t here = options.offload_gradients ? sides_of(options, layout).device : whole;
  return {{"gradients", here / layout.world * bytes_of(kept_gradient_type(options, layout.world)), "this rank's shard"},
          made,
          cast_if(casts && layout.world > 1)};
}

// Of so many parameters in a checkpoint.
std::int64_t saved_bytes(const EngineOptions& options, std::int64_t num_elements) {
  const std::int64_t master = options.compute == at::kFloat ? 0 : 4;
  return num_elements * (bytes_of(options.compute) + master) + options.state_bytes(num_elements);
}

std::string what_is_kept(const EngineOptions& options) {
  return fmt::format("{} in {}, {}{}{}",
                     num_moments(options.optimizer.kind) == 2 ? "exp_avg and exp_avg_sq" : "momentum_buffer",
                     config::name_of(options.optimizer.state_dtype), options.averages() ? "ema in fp32, " : "",
                     options.compute == at::kFloat ? "" : "the weights' lower halves, ",
                     options.zero_stage == 0 ? "whole" : "this rank's shard");
}

// What offload, if there is any, has in host memory in place of the device's.
std::vector<MemoryItem> offloaded_items(const EngineOptions& options, const ShardLayout& layout) {
  const Sides sides = sides_of(options, layout);
  if (sides.host == 0) {
    return {};
  }
  const std::int64_t owned = sides.host / layout.world;
  const std::string part = sides.on_host.empty() ? "" : " of " + sides.on_host;
  std::vector<MemoryItem> items{{"optimizer", options.optimizer_bytes(owned), what_is_kept(options) + part}};
  if (options.offload_gradients) {
    items.push_back(
        {"gradients", owned * bytes_of(kept_gradient_type(options, layout.world)), "this rank's shard" + part});
  }
  return items;
}

// Whole parameters, and what the engine holds on the device to train them.
std::vector<MemoryItem> engine_items(const EngineOptions& options, const ShardLayout& layout) {
  const std::int64_t whole = layout.num_elements();
  const Sides sides = sides_of(options, layout);
  const std::int64_t owned = options.zero_stage == 0 ? whole : sides.device / layout.world;
  const std::string part = sides.on_host.empty() ? "" : ", all but " + sides.on_host;
  std::vector<MemoryItem> items{{"parameters", whole * bytes_of(options.compute), "whole, on every rank"}};
  if (owned > 0) {
    items.push_back({"optimizer", options.optimizer_bytes(owned), what_is_kept(options) + part});
  }
  if (sides.host > 0) {
    const StateRingSize ring = state_ring_size(options, layout);
    items.push_back({"offload ring", ring.num_slots * ring.chunk_bytes,
                     fmt::format("{} chunks of what is in host memory", ring.num_slots)});
  }
  for (MemoryItem& item : gradient_items(options, layout)) {
    if (item.bytes > 0) {
      items.push_back(std::move(item));
    }
  }
  return items;
}

// At every stage a rank saves its own shard.
MemoryItem snapshot_item(const EngineOptions& options, const ShardLayout& layout) {
  return {"snapshot", saved_bytes(options, layout.num_elements() / layout.world),
          "of this rank's shard, from which checkpoints are written"};
}

void add_surroundings(MemoryPlan& plan, const model::Geometry& geometry, std::int64_t batch_size, std::int64_t element,
                      c10::Device device) {
  const std::int64_t image_elements = 3 * geometry.input_size * geometry.input_size;
  plan.items.push_back({"images", 2 * batch_size * image_elements * element, "this micro-batch and its patches"});
  if (!device.is_cpu()) {
    plan.items.push_back({"workspace", kGpuWorkspaceBytes, "of the matrix library"});
  }
}

using model::ActivationBytes;

// Of what is trained. Blocks that are frozen are computed before anything is kept.
ActivationBytes activations_of(const PlannedRun& run) {
  const std::int64_t element = bytes_of(run.options.compute);
  const auto predict = [&](std::int64_t num_blocks) {
    config::ModelShape shape = run.shape;
    shape.num_hidden_layers = num_blocks;
    return model::predict_activation_bytes(shape, run.geometry, run.batch_size, element, run.recompute);
  };
  if (run.frozen_blocks == 0) {
    return predict(run.shape.num_hidden_layers);
  }
  ActivationBytes bytes;
  if (run.frozen_blocks < run.shape.num_hidden_layers) {
    bytes = predict(run.shape.num_hidden_layers - run.frozen_blocks);
    bytes.kept -= run.batch_size * run.geometry.num_patches() * run.geometry.patch_elements() * element;
  }
  const std::int64_t forward = model::predict_forward_bytes(run.shape, run.geometry, run.batch_size, element);
  bytes.transient = std::max(bytes.transient, forward - bytes.kept);
  return bytes;
}

// Of the blocks that are trained, all but the last: see model::RecomputePolicy.
std::int64_t num_recomputable(const PlannedRun& run) {
  return std::max<std::int64_t>(0, run.shape.num_hidden_layers - run.frozen_blocks - 1);
}

std::string what_is_recomputed(const PlannedRun& run) {
  const std::int64_t num_blocks = num_recomputable(run);
  const std::int64_t whole = std::min(run.recompute.whole_blocks, num_blocks);
  const std::int64_t feed_forwards = std::min(run.recompute.feed_forwards, num_blocks - whole);
  std::string what;
  if (whole > 0) {
    what += fmt::format("; {} of {} blocks computed again", whole, num_blocks + 1);
  }
  if (feed_forwards > 0) {
    what += fmt::format("; gate and up of {}{} again", feed_forwards, whole > 0 ? " more" : " blocks computed");
  }
  return what;
}

std::int64_t sum_of(const std::vector<MemoryItem>& items) {
  std::int64_t sum = 0;
  for (const MemoryItem& item : items) {
    sum += item.bytes;
  }
  return sum;
}

// The least share, of whole buckets, that `fits`; 1 where none does.
template <class Fits>
double least_share(const ShardLayout& layout, const Fits& fits) {
  const auto total = static_cast<double>(layout.num_elements());
  double held = 0;
  for (const Bucket& bucket : layout.buckets) {
    if (fits(held / total)) {
      return held / total;
    }
    held += static_cast<double>(bucket.num_elements);
  }
  return 1;
}

}  // namespace

std::int64_t MemoryPlan::total() const { return sum_of(items); }
std::int64_t MemoryPlan::host_total() const { return sum_of(host_items); }

MemoryPlan plan_memory(const PlannedRun& run) {
  const EngineOptions& options = run.options;
  const auto layout_of = [&](const model::ParamTable& table) {
    return make_shard_layout(table, run.world, options.bucket_elements);
  };
  const model::SplitTable tables =
      model::split_table(model::build_param_table(run.shape, run.geometry), model::num_frozen_units(run.frozen_blocks));
  if (options.optimizer.state_dtype == config::StateDType::k8Bit) {
    check_scale_blocks(tables.rest);
  }
  const ShardLayout trained = layout_of(tables.rest);
  const std::int64_t element = bytes_of(options.compute);
  const std::int64_t frozen = tables.before.units.empty() ? 0 : layout_of(tables.before).num_elements() * element;
  const ActivationBytes activations = activations_of(run);

  MemoryPlan plan;
  if (frozen > 0) {
    plan.items.push_back({"frozen weights", frozen, "whole, on every rank"});
  }
  for (MemoryItem& item : engine_items(options, trained)) {
    plan.items.push_back(std::move(item));
  }
  plan.items.push_back({"activations", activations.kept, "kept for backward" + what_is_recomputed(run)});
  plan.items.push_back({"working memory", activations.transient, "of the block that is being computed"});
  add_surroundings(plan, run.geometry, run.batch_size, element, options.device);
  plan.host_items = offloaded_items(options, trained);
  if (run.snapshots) {
    MemoryItem snapshot = snapshot_item(options, trained);
    snapshot.bytes += frozen / run.world;
    plan.host_items.push_back(std::move(snapshot));
  }
  return plan;
}

model::RecomputePolicy cheapest_recompute(const PlannedRun& run, std::int64_t bytes) {
  const std::int64_t num_blocks = num_recomputable(run);
  // First gate and up of more and more blocks, which is cheap for what it frees, then more and more whole blocks.
  const auto policy_of = [num_blocks](std::int64_t level) {
    const std::int64_t whole = std::max<std::int64_t>(0, level - num_blocks);
    return model::RecomputePolicy{whole, std::min(level, num_blocks) - whole};
  };
  const auto levels = std::views::iota(std::int64_t{0}, 2 * num_blocks);
  const auto least = std::ranges::partition_point(levels, [&](std::int64_t level) {
    PlannedRun trial = run;
    trial.recompute = policy_of(level);
    return plan_memory(trial).total() > bytes;
  });
  return policy_of(least == levels.end() ? 2 * num_blocks : *least);
}

double cheapest_offload(const PlannedRun& run, std::int64_t bytes) {
  const model::SplitTable tables =
      model::split_table(model::build_param_table(run.shape, run.geometry), model::num_frozen_units(run.frozen_blocks));
  return least_share(make_shard_layout(tables.rest, run.world, run.options.bucket_elements), [&](double share) {
    PlannedRun trial = run;
    trial.options.offload = share;
    return plan_memory(trial).total() <= bytes;
  });
}

double cheapest_offload(const PlannedProbe& probe, std::int64_t bytes) {
  const model::ParamTable head = model::build_probe_table(probe.shape.hidden_size, probe.geometry.num_classes);
  return least_share(make_shard_layout(head, probe.world, probe.head.bucket_elements), [&](double share) {
    PlannedProbe trial = probe;
    trial.head.offload = share;
    return plan_probe_memory(trial).total() <= bytes;
  });
}

MemoryPlan plan_probe_memory(const PlannedProbe& probe) {
  const std::int64_t element = bytes_of(probe.compute);
  const std::int64_t bucket = probe.head.bucket_elements;
  const ShardLayout backbone = make_shard_layout(
      model::backbone_part(model::build_param_table(probe.shape, probe.geometry)), probe.world, bucket);
  const ShardLayout head = make_shard_layout(
      model::build_probe_table(probe.shape.hidden_size, probe.geometry.num_classes), probe.world, bucket);
  MemoryPlan plan;
  plan.items.push_back({"backbone", backbone.num_elements() * element, "frozen, whole, on every rank"});
  for (MemoryItem& item : engine_items(probe.head, head)) {
    item.name = "head: " + item.name;
    plan.items.push_back(std::move(item));
  }
  plan.items.push_back({"working memory",
                        model::predict_forward_bytes(probe.shape, probe.geometry, probe.batch_size, element),
                        "of the block that is being computed"});
  if (probe.cached_images > 0) {
    plan.items.push_back({"cached features", probe.cached_images * probe.shape.hidden_size * element,
                          fmt::format("of {} images, on every rank", probe.cached_images)});
  }
  add_surroundings(plan, probe.geometry, probe.batch_size, element, probe.head.device);
  plan.host_items = offloaded_items(probe.head, head);
  if (probe.snapshots) {
    plan.host_items.push_back(snapshot_item(probe.head, head));
  }
  return plan;
}

}  // namespace tessera::engine

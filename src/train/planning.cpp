#include "train/planning.hpp"

#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"
#include "train/host_memory.hpp"
#include "train/meters.hpp"

#include <algorithm>
#include <array>

namespace tessera::train {

namespace {

bool takes_snapshots(const config::RunConfig& config) {
  return config.output.async_save && !config.output.output_dir.empty() && !config.eval_only;
}

model::RecomputePolicy fixed_policy(config::GradientCheckpointing level, std::int64_t num_blocks) {
  switch (level) {
    case config::GradientCheckpointing::kFeedForward:
      return {0, num_blocks};
    case config::GradientCheckpointing::kBlock:
      return {num_blocks, 0};
    case config::GradientCheckpointing::kNone:
    case config::GradientCheckpointing::kAuto:
      break;
  }
  return {};
}

}  // namespace

model::Geometry geometry_of(const config::RunConfig& config, std::int64_t num_classes) {
  return {config.data.input_size, config.data.patch_size, num_classes, config.model.pooling()};
}

engine::PlannedRun planned_run(const config::RunConfig& config, std::int64_t num_classes, int world,
                               const engine::EngineOptions& options) {
  return {config.model.shape,
          geometry_of(config, num_classes),
          config.data.batch_size,
          fixed_policy(config.model.gradient_checkpointing, config.model.shape.num_hidden_layers),
          world,
          options,
          takes_snapshots(config),
          config.model.freeze_blocks};
}

namespace {

// The plan is within 5% of what a run takes; the allocator's gaps come on top.
std::int64_t plannable(std::int64_t device_bytes) { return device_bytes - device_bytes / 16; }

std::int64_t usable_by_this_rank(const Platform& platform) {
  const topology::Mesh& mesh = platform.mesh;
  return usable_memory_bytes(platform.device, platform.device.is_cpu()
                                                  ? mesh.node.size()
                                                  : topology::ranks_on_gpu_of(mesh.placement, mesh.world.rank()));
}

// So that one plan holds for all ranks.
std::int64_t least_usable(const Platform& platform) {
  std::array<double, 1> usable{static_cast<double>(usable_by_this_rank(platform))};
  platform.mesh.world.min(usable);
  return static_cast<std::int64_t>(usable[0]);
}

// A byte of the GPU's memory costs 17 ps a step where state is offloaded, and about 5 ps a micro-step where blocks are
// computed again (H200; docs/performance.md).
constexpr std::int64_t kMicroStepsThatOffload = 4;

std::int64_t planned_total(const engine::PlannedRun& run) { return engine::plan_memory(run).total(); }
std::int64_t planned_total(const engine::PlannedProbe& probe) { return engine::plan_probe_memory(probe).total(); }

// Gradients stay on the device where any share of the state leaves it room for them: they cross the bus more often.
template <class Planned>
void settle_offload(Planned& planned, engine::EngineOptions& options, const config::ZeroConfig& zero,
                    std::int64_t bytes) {
  const auto settle_ratio = [&] {
    if (!zero.offload_ratio.share) {
      options.offload = engine::cheapest_offload(planned, bytes);
    }
  };
  if (options.offload == 0) {
    return;
  }
  settle_ratio();
  if (zero.offload_gradients == config::GradientOffload::kAuto && options.offload > 0 &&
      planned_total(planned) > bytes) {
    options.offload_gradients = true;
    settle_ratio();
  }
}

// What was left to settle_offload().
void tell_offload(const engine::EngineOptions& options, const config::ZeroConfig& zero, const core::Log& log) {
  if (!zero.offload_ratio.share) {
    log.info("--offload_ratio auto: {:.4g}, as little of the optimizer's state as the GPU's memory demands",
             options.offload);
  }
  if (zero.offload_gradients == config::GradientOffload::kAuto && options.offload > 0) {
    log.info("--offload_gradients auto: {}", options.offload_gradients ? "cpu, for want of room on the GPU" : "none");
  }
}

}  // namespace

void settle_by_memory(engine::PlannedRun& run, const config::RunConfig& config, std::int64_t device_bytes) {
  const bool recomputes = config.model.gradient_checkpointing == config::GradientCheckpointing::kAuto;
  if (recomputes && run.options.accumulation_steps < kMicroStepsThatOffload) {
    // All there is, before anything is offloaded.
    run.recompute = fixed_policy(config::GradientCheckpointing::kBlock, run.shape.num_hidden_layers);
  }
  settle_offload(run, run.options, config.zero, plannable(device_bytes));
  if (recomputes) {
    run.recompute = engine::cheapest_recompute(run, plannable(device_bytes));
  }
}

void settle_by_memory(engine::PlannedRun& run, const config::RunConfig& config, const Platform& platform,
                      const core::Log& log) {
  const bool tells = run.options.offload > 0;
  settle_by_memory(run, config, least_usable(platform));
  if (tells) {
    tell_offload(run.options, config.zero, log);
  }
}

void settle_by_memory(engine::PlannedProbe& probe, const config::RunConfig& config, std::int64_t device_bytes) {
  settle_offload(probe, probe.head, config.zero, plannable(device_bytes));
}

void settle_by_memory(engine::PlannedProbe& probe, const config::RunConfig& config, const Platform& platform,
                      const core::Log& log) {
  const bool tells = probe.head.offload > 0;
  settle_by_memory(probe, config, least_usable(platform));
  if (tells) {
    tell_offload(probe.head, config.zero, log);
  }
}

engine::EngineOptions head_options(const config::RunConfig& config, c10::Device device) {
  return engine_options(config, device, at::kFloat);
}

engine::PlannedProbe planned_probe(const config::RunConfig& config, const ProbeFacts& facts) {
  return {config.model.shape,
          geometry_of(config, facts.num_classes),
          config.data.batch_size,
          facts.compute,
          config.probe.cache_features ? facts.num_images : 0,
          facts.world,
          head_options(config, facts.device),
          takes_snapshots(config)};
}

std::string to_table(const engine::MemoryPlan& plan) {
  std::string table;
  const auto add = [&table](const std::string& name, std::int64_t bytes, const std::string& what) {
    table += fmt::format("{}  {:<16}{:>12}  {}", table.empty() ? "" : "\n", name,
                         core::format_bytes(static_cast<double>(bytes)), what);
  };
  for (const engine::MemoryItem& item : plan.items) {
    add(item.name, item.bytes, item.what);
  }
  add("total", plan.total(), "per rank");
  for (const engine::MemoryItem& item : plan.host_items) {
    add(item.name, item.bytes, item.what + "; host memory, besides");
  }
  return table;
}

void report_memory(const engine::MemoryPlan& plan, const Platform& platform, const core::Log& log) {
  const auto peak = static_cast<double>(peak_memory_bytes(platform.device));
  const auto planned = static_cast<double>(plan.total());
  log.info("peak memory on the first rank: {} ({})", core::format_bytes(peak),
           platform.device.is_cpu()
               ? "the whole process"
               : fmt::format("the plan said {}, {:+.1f}%", core::format_bytes(planned), 100 * (planned - peak) / peak));
}

namespace {

std::string bytes_text(std::int64_t bytes) { return core::format_bytes(static_cast<double>(bytes)); }

bool is_offloaded(const engine::MemoryPlan& plan) {
  return std::ranges::any_of(plan.host_items, [](const engine::MemoryItem& item) { return item.name == "optimizer"; });
}

// What the ranks of a node take of its memory together, against the least of what bounds it.
void require_host_memory(const engine::MemoryPlan& plan, const Platform& platform) {
  const std::int64_t a_rank = plan.host_total() + (platform.device.is_cpu() ? plan.total() : 0);
  const int ranks = platform.mesh.node.size();
  const HostLimit limit = least_host_limit(this_host(), ranks);
  core::require<core::UserError>(
      a_rank <= limit.free_bytes / ranks, "train",
      "the run needs {} of host memory on this node by the plan ({} rank{} x {}), but {} is left of {}:\n{}\n  use "
      "more nodes with --zero_stage 2, a smaller model, {}or --async_save false, which saves without a copy of the "
      "state while training waits{}",
      bytes_text(a_rank * ranks), ranks, ranks == 1 ? "" : "s", bytes_text(a_rank), bytes_text(limit.free_bytes),
      limit.name, to_table(plan),
      platform.device.is_cpu() ? "a smaller --batch_size (with --accum_iter), --gradient_checkpointing auto, " : "",
      is_offloaded(plan) ? "; --offload_optimizer none leaves the optimizer on the GPU" : "");
}

}  // namespace

void require_memory(const engine::MemoryPlan& plan, const Platform& platform) {
  if (!platform.device.is_cpu()) {
    const std::int64_t usable = usable_by_this_rank(platform);
    core::require<core::UserError>(
        plan.total() <= usable, "train",
        "the run needs {} on each rank by the plan, but {} of GPU memory is free:\n{}\n  use more ranks with "
        "--zero_stage 2, --gradient_checkpointing auto, --offload_optimizer cpu, a smaller --batch_size (with "
        "--accum_iter), or a smaller model",
        bytes_text(plan.total()), bytes_text(usable), to_table(plan));
  }
  if (platform.device.is_cpu() || plan.host_total() > 0) {
    require_host_memory(plan, platform);
  }
}

}  // namespace tessera::train

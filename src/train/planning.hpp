#pragma once

#include "tessera/config/run_config.hpp"
#include "tessera/core/log.hpp"
#include "tessera/engine/memory_plan.hpp"
#include "train/platform.hpp"

#include <cstdint>
#include <string>

namespace tessera::train {

/// What the images and classes of a run add to the backbone's shape.
model::Geometry geometry_of(const config::RunConfig& config, std::int64_t num_classes);

/// The run as the memory plan wants it, but for what is auto, which settle_by_memory() settles.
engine::PlannedRun planned_run(const config::RunConfig& config, std::int64_t num_classes, int world,
                               const engine::EngineOptions& options);

/// Settles --offload_ratio, --offload_gradients and --gradient_checkpointing auto by the memory of a rank's device.
/// Where the first and the last are auto, the last one saves first, or with many micro-steps the first one: each takes
/// less time there.
void settle_by_memory(engine::PlannedRun& run, const config::RunConfig& config, std::int64_t device_bytes);
/// The same, by the memory that is free on the run's ranks; tells what it took. Collective over the run.
void settle_by_memory(engine::PlannedRun& run, const config::RunConfig& config, const Platform& platform,
                      const core::Log& log);

struct ProbeFacts {
  std::int64_t num_classes = 0;
  std::int64_t num_images = 0;  ///< that are cached with --cache_features
  int world = 1;
  c10::Device device = c10::kCPU;
  at::ScalarType compute = at::kFloat;  ///< of the backbone
};

/// The same of a linear probe.
engine::PlannedProbe planned_probe(const config::RunConfig& config, const ProbeFacts& facts);

/// --offload_ratio auto of a linear probe.
void settle_by_memory(engine::PlannedProbe& probe, const config::RunConfig& config, std::int64_t device_bytes);
void settle_by_memory(engine::PlannedProbe& probe, const config::RunConfig& config, const Platform& platform,
                      const core::Log& log);

/// The engine's part of the configuration of a linear probe, whose head is fp32.
engine::EngineOptions head_options(const config::RunConfig& config, c10::Device device);

/// The plan as a table for people.
std::string to_table(const engine::MemoryPlan& plan);

/// The measured peak beside the plan.
void report_memory(const engine::MemoryPlan& plan, const Platform& platform, const core::Log& log);

/// Tells the plan, and throws UserError where it does not fit the rank's device. To be called within Group::agree.
void require_memory(const engine::MemoryPlan& plan, const Platform& platform);

}  // namespace tessera::train

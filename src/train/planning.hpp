#pragma once

#include "tessera/config/run_config.hpp"
#include "tessera/core/log.hpp"
#include "tessera/engine/memory_plan.hpp"
#include "train/platform.hpp"

#include <cstdint>
#include <string>

namespace tessera::train {

/// The run as the memory plan wants it.
engine::PlannedRun planned_run(const config::RunConfig& config, std::int64_t num_classes, int world,
                               const engine::EngineOptions& options);

/// The plan as a table for people.
std::string to_table(const engine::MemoryPlan& plan);

/// Tells the plan, and throws UserError where it does not fit the rank's device. To be called within Group::agree.
void require_memory(const engine::MemoryPlan& plan, const Platform& platform);

}  // namespace tessera::train

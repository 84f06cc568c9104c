#pragma once

#include "tessera/config/run_config.hpp"
#include "tessera/core/log.hpp"
#include "tessera/data/dataset.hpp"
#include "tessera/engine/memory_plan.hpp"
#include "tessera/state/run_state.hpp"
#include "tessera/topology/group.hpp"
#include "train/platform.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace tessera::train {

/// What a run has before it takes any memory.
struct PreparedRun {
  std::unique_ptr<data::Dataset> train_set;
  std::unique_ptr<data::Dataset> test_set;
  std::optional<std::string> checkpoint;  ///< that is resumed
  state::RunState stored;                 ///< in it
  Platform platform;

  [[nodiscard]] std::int64_t num_classes() const { return train_set->num_classes(); }
};

/// Opens the data and the output directory, finds devices and the checkpoint to resume, for which it adapts `config` to
/// the number of ranks: with_saved_batch(). Throws AgreedUserError. Collective over `world`.
PreparedRun prepare_run(config::RunConfig& config, const topology::Group& world, const core::Log& log);

/// Tells the plan, and refuses what does not fit; gives the state that the run begins with or goes on from, and writes
/// args.json. `backbone` is RunState's. Throws AgreedUserError. Collective over the run.
state::RunState begin_run(const PreparedRun& prepared, const config::RunConfig& config, const engine::MemoryPlan& plan,
                          const std::string& backbone, const core::Log& log);

}  // namespace tessera::train

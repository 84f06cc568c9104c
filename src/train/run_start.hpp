#pragma once

#include "tessera/config/run_config.hpp"
#include "tessera/core/log.hpp"
#include "tessera/state/run_state.hpp"

#include <cstdint>
#include <string>

namespace tessera::train {

struct RunFacts {
  std::int64_t dataset_size = 0;
  std::int64_t num_classes = 0;
  int world = 1;
};

/// The state of a run that has not begun: schedule, sizes, seed. Throws UserError where the data set is smaller than
/// one step.
state::RunState start_state(const config::RunConfig& config, const RunFacts& facts);

/// `config` for going on from `checkpoint`, in which `stored` stands, on `world` ranks. On another number than it was
/// saved on, --accum_iter becomes what keeps the images per optimizer step, and with them steps, schedule and order of
/// the data; that is told. Throws UserError where no whole number does.
config::RunConfig with_saved_batch(const config::RunConfig& config, const std::string& checkpoint,
                                   const state::RunState& stored, int world, const core::Log& log);

/// Where a checkpoint's run stands (`stored` in it), with the schedule of `fresh`. What may not change between the two
/// (the data and their order, the effective batch, the model's geometry) is compared: one UserError lists all that
/// differs. What may (learning rate, epochs, ranks, stage) is told.
state::RunState resumed_state(const std::string& checkpoint, state::RunState stored, const state::RunState& fresh,
                              const core::Log& log);

}  // namespace tessera::train

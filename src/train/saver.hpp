#pragma once

#include "tessera/checkpoint/memory_copier.hpp"
#include "tessera/config/run_config.hpp"
#include "tessera/core/log.hpp"
#include "tessera/engine/engine.hpp"
#include "tessera/state/run_state.hpp"
#include "train/platform.hpp"

#include <string>

namespace tessera::train {

/// Copies between the device's memory and the host's; nothing to do on a CPU.
checkpoint::MemoryCopier make_copier(c10::Device device);

/// Saves a run's checkpoints and removes the old ones.
class Saver {
 public:
  Saver(const config::OutputConfig& config, const Platform& platform, const core::Log& log)
      : config_(config), platform_(platform), log_(log) {}

  /// As checkpoint-NAME, then prunes to --keep_last. A save that fails is told, and training goes on with the
  /// checkpoints that are there. Does nothing without an output directory. Collective over the run.
  void save(const std::string& name, const engine::Engine& engine, const state::RunState& run) const;
  /// As save(), but a failure is thrown: there is no later chance.
  void save_last(const std::string& name, const engine::Engine& engine, const state::RunState& run) const;

 private:
  void prune() const;

  const config::OutputConfig& config_;
  const Platform& platform_;
  const core::Log& log_;
};

}  // namespace tessera::train

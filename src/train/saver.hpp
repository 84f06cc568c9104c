#pragma once

#include "tessera/checkpoint/async_saver.hpp"
#include "tessera/checkpoint/memory_copier.hpp"
#include "tessera/config/run_config.hpp"
#include "tessera/core/log.hpp"
#include "tessera/engine/engine.hpp"
#include "tessera/state/run_state.hpp"
#include "train/meters.hpp"
#include "train/platform.hpp"
#include "train/run_log.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tessera::train {

/// Copies between the device's memory and the host's; nothing to do on a CPU.
checkpoint::MemoryCopier make_copier(c10::Device device);

/// What a saver works with. All of it outlives the saver.
struct SaverParts {
  const config::OutputConfig& config;
  const Platform& platform;
  const core::Log& log;
  const engine::Engine& engine;
  RunLog& run_log;
  std::int64_t saved_step = -1;  ///< of the state that was resumed; -1: none was
};

/// Saves a run's checkpoints and removes the old ones: beside the training (--async_save), or while it waits. Does
/// nothing without an output directory.
///
/// A save that fails is told, and training goes on with the checkpoints that are there. What a save under way has come
/// to is told at the next end of a step.
class Saver {
 public:
  /// Collective over the run.
  explicit Saver(const SaverParts& parts);
  Saver(const Saver&) = delete;
  Saver& operator=(const Saver&) = delete;
  ~Saver();

  /// Saves the state as it is now under each of the names, then prunes to --keep_last. Waits for the save before this
  /// one first, and says so. Collective over the run.
  void save(std::vector<std::string> names, const state::RunState& run);
  /// As save(), and waits for its end; a failure is thrown, as there is no later chance. Collective over the run.
  void save_last(std::vector<std::string> names, const state::RunState& run);

  /// Before anything changes the state: returns when the save under way has copied it.
  void before_update();
  /// At the end of a step: tells what has ended. Waits for nothing.
  void after_step();
  /// Waits for the save under way, if any, and tells what it came to. Collective over the run.
  void settle();
  /// Where this rank fails and ends the run: the save under way has a few seconds to end.
  void abandon() noexcept;

  /// What a save takes: as the last one did, or where there was none yet, of the state's size at a moderate rate.
  [[nodiscard]] double expected_seconds() const { return expected_seconds_; }

  /// Steps done in the newest state that is known to be saved; -1: none is.
  [[nodiscard]] std::int64_t saved_step() const { return saved_step_; }
  /// Where this run saved last; empty: nowhere yet.
  [[nodiscard]] const std::string& saved_path() const { return saved_path_; }

 private:
  struct Job;

  void begin(std::vector<std::string> names, const state::RunState& run);
  void start_thread(const std::shared_ptr<Job>& job);
  void save_in_place(const std::shared_ptr<Job>& job);
  void take();
  void tell(const Job& job);

  SaverParts parts_;
  std::unique_ptr<checkpoint::AsyncSaver> async_;  // null: saves while the training waits
  std::shared_ptr<Job> under_way_;
  std::int64_t saved_step_ = -1;
  std::string saved_path_;
  double expected_seconds_ = 0;
};

}  // namespace tessera::train

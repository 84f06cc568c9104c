#pragma once

#include "tessera/config/run_config.hpp"
#include "tessera/report/records.hpp"
#include "train/event_file.hpp"

#include <cstdint>
#include <fstream>
#include <string>

namespace tessera::train {

/// log.txt and steps.jsonl: one JSON object a line, appended; and the same figures as TensorBoard events. A resumed run
/// continues them: lines of steps and epochs that will be run again are dropped first, so that each step stands there
/// once. A checkpoint is told in the list "saves" of the line of log.txt that follows it: every line is an epoch's.
class RunLog {
 public:
  /// Writes nothing.
  RunLog() = default;
  /// Without --output_dir no lines are written, without --log_dir the events lie beside them. Throws UserError where
  /// a file cannot be opened.
  RunLog(const config::OutputConfig& output, std::int64_t first_step, std::int64_t first_epoch);

  void step(const report::StepRecord& record);
  void epoch(const report::EpochRecord& record);
  void save(const report::SaveRecord& record);
  /// At the end of a run in epoch `epoch`: the checkpoints since the last epoch's line are added to it. Where no epoch
  /// has ended, they get a line of their own.
  void finish(std::int64_t epoch);

 private:
  std::ofstream steps_;
  std::ofstream epochs_;
  EventFile events_;
  std::string epochs_path_;
  std::string saves_;  // that are in no line yet, as the elements of a JSON list
};

}  // namespace tessera::train

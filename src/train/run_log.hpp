#pragma once

#include "tessera/config/run_config.hpp"
#include "train/event_file.hpp"

#include <cstdint>
#include <fstream>
#include <map>
#include <string>

namespace tessera::train {

struct StepRecord {
  std::int64_t step = 0;
  std::int64_t epoch = 0;
  double loss = 0;
  double accuracy = 0;  ///< percent, on the step's own images
  double lr = 0;
  double grad_norm = 0;
  bool skipped = false;
  double seconds = 0;
  double tokens_per_s = 0;  ///< of all ranks
  double mfu = 0;           ///< of 1
  std::int64_t peak_bytes = 0;
  std::map<std::string, double> parts;  ///< seconds of the device at each; "update" is the step before's
};

struct EpochRecord {
  double train_lr = 0;
  double train_acc1 = 0;
  double train_loss = 0;
  double test_loss = 0;
  double test_acc1 = 0;
  double test_acc5 = 0;
  std::int64_t epoch = 0;
  std::int64_t end_step = 0;  ///< the first step of the next epoch
  std::int64_t num_parameters = 0;
  double seconds = 0;
  double eval_seconds = 0;
  double tokens_per_s = 0;
  double mfu = 0;
  std::int64_t peak_bytes = 0;
  std::int64_t skipped_steps = 0;
};

/// One checkpoint.
struct SaveRecord {
  std::string name;       ///< "checkpoint-3"
  std::int64_t step = 0;  ///< steps done in the state that it holds
  std::int64_t bytes = 0;
  double stall_seconds = 0;     ///< in which training stood still for it, less:
  double waited_seconds = 0;    ///< in which it stood still because the save before was not done
  double snapshot_seconds = 0;  ///< of copying the state on this rank, most of it beside the training
  double write_seconds = 0;     ///< of the slowest rank's checksumming and writing
  double seconds = 0;           ///< of the whole save after the copy: created, written, synced, renamed
  bool async = false;
};

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

  void step(const StepRecord& record);
  void epoch(const EpochRecord& record);
  void save(const SaveRecord& record);
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

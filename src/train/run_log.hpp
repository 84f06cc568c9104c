#pragma once

#include "tessera/config/run_config.hpp"
#include "train/event_file.hpp"

#include <cstdint>
#include <fstream>
#include <string>

namespace tessera::train {

struct StepRecord {
  std::int64_t step = 0;
  std::int64_t epoch = 0;
  double loss = 0;
  double lr = 0;
  double grad_norm = 0;
  bool skipped = false;
  double seconds = 0;
  double tokens_per_s = 0;  ///< of all ranks
  double mfu = 0;           ///< of 1
  std::int64_t peak_bytes = 0;
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

/// log.txt and steps.jsonl: one JSON object a line, appended; and the same figures as TensorBoard events. A resumed run
/// continues them: lines of steps and epochs that will be run again are dropped first, so that each step stands there
/// once.
class RunLog {
 public:
  /// Writes nothing.
  RunLog() = default;
  /// Without --output_dir no lines are written, without --log_dir the events lie beside them. Throws UserError where
  /// a file cannot be opened.
  RunLog(const config::OutputConfig& output, std::int64_t first_step, std::int64_t first_epoch);

  void step(const StepRecord& record);
  void epoch(const EpochRecord& record);

 private:
  std::ofstream steps_;
  std::ofstream epochs_;
  EventFile events_;
};

}  // namespace tessera::train

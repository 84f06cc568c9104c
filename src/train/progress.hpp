#pragma once

#include "tessera/core/log.hpp"
#include "train/meters.hpp"
#include "train/run_log.hpp"

#include <cstdint>

namespace tessera::train {

/// Where in the run a step stands, and what of it the log has not.
struct ProgressStep {
  std::int64_t step_in_epoch = 0;  ///< from 1
  std::int64_t steps_per_epoch = 0;
  std::int64_t steps_left = 0;  ///< in the whole run
  double accuracy = 0;          ///< percent
};

/// The line that a person watches: every `every` steps a lasting one; on a terminal also one that is replaced, at most
/// ten times a second. Loss and accuracy are means since the last lasting line, speed and ETA running means.
class Progress {
 public:
  Progress(const core::Log& log, std::int64_t every) : log_(log), every_(every) {}

  void show(const ProgressStep& step, const StepRecord& record);

 private:
  const core::Log& log_;
  std::int64_t every_;
  std::int64_t num_steps_ = 0;  // since the last lasting line
  double loss_sum_ = 0;
  double accuracy_sum_ = 0;
  double mean_seconds_ = 0;
  Stopwatch since_status_;
};

}  // namespace tessera::train

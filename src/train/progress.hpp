#pragma once

#include "tessera/core/log.hpp"
#include "tessera/report/records.hpp"
#include "train/meters.hpp"
#include "train/progress_line.hpp"

#include <cstdint>
#include <deque>

namespace tessera::train {

/// Where in the run a step stands, and what of it the log has not.
struct ProgressStep {
  std::int64_t step_in_epoch = 0;  ///< from 1
  std::int64_t steps_per_epoch = 0;
  std::int64_t steps_left = 0;  ///< in the whole run
};

/// What a person watches: on a terminal one line that is replaced, at most ten times a second; elsewhere a line every
/// `every` steps and at the end of an epoch. Loss and accuracy are means over the last `every` steps, speed and ETA
/// running means; the ETA of the run counts the evaluations to come as long as the last one was.
class Progress {
 public:
  Progress(const core::Log& log, std::int64_t every) : log_(log), every_(static_cast<std::size_t>(every)) {}

  void show(const ProgressStep& step, const report::StepRecord& record);
  /// An evaluation took so long.
  void evaluated(double seconds) { evaluation_seconds_ = seconds; }

 private:
  struct Recent {
    double loss = 0;
    double accuracy = 0;
  };
  [[nodiscard]] ProgressFigures figures(const ProgressStep& step, const report::StepRecord& record) const;

  const core::Log& log_;
  std::size_t every_;
  std::deque<Recent> recent_;
  std::int64_t num_steps_ = 0;
  double mean_seconds_ = 0;
  double evaluation_seconds_ = 0;
  Stopwatch since_status_;
};

}  // namespace tessera::train

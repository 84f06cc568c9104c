#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::report {

/// Parts of a step, as engine::StepOptions::mark names them.
constexpr std::array<std::string_view, 6> kStepParts{"data", "forward", "loss", "backward", "norm", "update"};

/// A line of steps.jsonl. Where the line of an older version lacks a figure, it is NaN.
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
  std::array<double, kStepParts.size()> part_seconds{};  ///< of the device at each part; "update" is the step before's
};

/// A line of log.txt.
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
  std::int64_t num_trained = 0;
  double seconds = 0;
  double eval_seconds = 0;
  double tokens_per_s = 0;
  double mfu = 0;
  std::int64_t peak_bytes = 0;
  std::int64_t skipped_steps = 0;
};

/// One checkpoint, in the list "saves" of the line of log.txt that follows it.
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

/// Bytes that a rank was planned to take for one purpose.
struct PlannedBytes {
  std::string name;  ///< "parameters", "activations", ...
  std::int64_t bytes = 0;
  std::string what;  ///< a few words of explanation
};

/// memory_plan.json: what was planned when the run began, for each rank.
struct PlanRecord {
  std::string device;  ///< "cuda", or "cpu", whose peak is that of the whole process
  std::vector<PlannedBytes> items;
  std::vector<PlannedBytes> host_items;  ///< in the host's memory besides
};

/// JSON objects on one line. What is no number is null.
std::string to_json_line(const StepRecord& record);
std::string to_json_line(const EpochRecord& record);
std::string to_json_line(const SaveRecord& record);
std::string to_json_line(const PlanRecord& record);

}  // namespace tessera::report

#pragma once

#include "tessera/report/records.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tessera::report {

/// What a run left in its directory.
struct RunRecord {
  std::string directory;
  /// args.json, with the keys of objects in it as "model_shape.hidden_size"; texts without their quotes. Empty where
  /// there is no such file.
  std::map<std::string, std::string> settings;
  std::vector<StepRecord> steps;    ///< by step
  std::vector<EpochRecord> epochs;  ///< by epoch
  std::vector<SaveRecord> saves;    ///< in the order in which they were made
  std::optional<PlanRecord> plan;   ///< memory_plan.json, which runs of version 0.1.0 and before lack

  [[nodiscard]] std::int64_t peak_bytes() const;  ///< the greatest that was told; 0 where none was
};

/// Throws UserError where `directory` is none, or holds neither steps.jsonl nor log.txt, or a line of these is no JSON
/// object. (A last line without an end, as of a run that is being written, is passed over.)
RunRecord read_run(const std::string& directory);

/// The settings in which the runs differ, but for the places of their files: name, and a value per run ("-" where a run
/// has none).
struct SettingDifference {
  std::string name;
  std::vector<std::string> values;
};
std::vector<SettingDifference> settings_that_differ(const std::vector<RunRecord>& runs);

}  // namespace tessera::report

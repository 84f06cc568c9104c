#pragma once

#include "tessera/report/evaluation.hpp"

#include <optional>
#include <string>
#include <vector>

namespace tessera::report {

/// The files in a run's directory that hold its newest evaluation, as `tessera eval` writes them.
constexpr const char* kEvaluationFile = "evaluation.json";
constexpr const char* kPredictionsFile = "predictions.jsonl";

struct SavedEvaluation {
  std::optional<Evaluation> evaluation;  ///< nothing where there is no such file
  /// By index, with index, label, prediction and confidence alone; empty where there is no such file.
  std::vector<ImageOutcome> outcomes;
};

/// Throws UserError that names the file, and the line of the second, where it is not what it should be.
SavedEvaluation read_saved_evaluation(const std::string& directory);

}  // namespace tessera::report

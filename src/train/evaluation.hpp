#pragma once

#include "tessera/core/log.hpp"
#include "tessera/data/dataset.hpp"
#include "tessera/data/loader.hpp"
#include "tessera/model/classifier.hpp"
#include "tessera/report/evaluation.hpp"
#include "train/platform.hpp"

#include <functional>
#include <optional>
#include <vector>

namespace tessera::train {

struct EvaluatedSet {
  std::vector<report::ImageOutcome> outcomes;  ///< of every image, by index
  report::Evaluation summary;
};

/// What an evaluation works with.
struct EvaluationParts {
  const model::Classifier& model;
  model::Weights& weights;
  const data::Dataset& dataset;
  const data::LoaderSpec& spec;
  const Platform& platform;
  const core::Log& log;
  /// Asked after every batch, the same number of times on every rank: whether to leave it. Empty: never.
  std::function<bool()> stops_here{};
};

/// Runs the whole data set through the model, each image once over the ranks, and gives every rank the whole outcome;
/// none where it was left. Collective over the run.
std::optional<EvaluatedSet> evaluate_dataset(const EvaluationParts& parts);

}  // namespace tessera::train

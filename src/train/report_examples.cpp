#include "train/report_examples.hpp"

#include "tessera/core/error.hpp"
#include "tessera/data/dataset.hpp"
#include "tessera/data/thumbnail.hpp"

#include <algorithm>
#include <iterator>
#include <memory>
#include <tuple>

namespace tessera::train {
namespace {

constexpr std::size_t kWorstClasses = 8;
constexpr std::size_t kExamplesPerClass = 4;
constexpr std::int32_t kMaxSide = 96;  // pixels, as large as they are shown on a dense screen

// The surest mistakes on images of `label`.
std::vector<report::ImageOutcome> mistakes_on(const std::vector<report::ImageOutcome>& outcomes, std::int32_t label) {
  std::vector<report::ImageOutcome> mistakes;
  std::ranges::copy_if(outcomes, std::back_inserter(mistakes), [label](const report::ImageOutcome& outcome) {
    return outcome.label == label && outcome.prediction != label && outcome.prediction >= 0;
  });
  std::ranges::sort(mistakes, std::ranges::less(),
                    [](const report::ImageOutcome& outcome) { return std::tuple(-outcome.confidence, outcome.index); });
  mistakes.resize(std::min(mistakes.size(), kExamplesPerClass));
  return mistakes;
}

// Throws core::Error where it is not the data that was evaluated.
std::unique_ptr<data::Dataset> open_test_set(const report::PageRun& run) {
  const auto& settings = run.record.settings;
  core::require(settings.contains("dataset") && settings.contains("data_path"), "train",
                "args.json, which names the data set, is not in the run's directory");
  auto dataset = data::open_dataset(
      {config::dataset_from_name(settings.at("dataset")), settings.at("data_path"), data::Split::kTest});
  const std::string& path = settings.at("data_path");
  for (const report::ImageOutcome& outcome : run.saved.outcomes) {
    core::require(outcome.index >= 0 && outcome.index < dataset->size(), "train",
                  "the data at {} has no test image {}: they are not those that were evaluated", path, outcome.index);
    core::require(dataset->label(outcome.index) == outcome.label, "train",
                  "the data at {} has another label for test image {}: they are not those that were evaluated", path,
                  outcome.index);
  }
  return dataset;
}

void add_examples(report::PageRun& run) {
  core::require(!run.saved.outcomes.empty(), "train", "{} is not in the run's directory", report::kPredictionsFile);
  const std::unique_ptr<data::Dataset> dataset = open_test_set(run);
  std::vector<std::uint8_t> scratch;
  for (report::WorstClass& worst : run.worst) {
    for (const report::ImageOutcome& mistake : mistakes_on(run.saved.outcomes, worst.label)) {
      worst.examples.push_back({mistake.index, mistake.prediction, mistake.confidence,
                                data::thumbnail_png(dataset->decode(mistake.index, scratch), kMaxSide)});
    }
  }
}

}  // namespace

void add_worst_classes(report::PageRun& run) {
  if (!run.saved.evaluation) {
    return;
  }
  const report::Evaluation& evaluation = *run.saved.evaluation;
  for (const std::int32_t label : report::worst_classes(evaluation, kWorstClasses)) {
    const report::ClassResult& result = evaluation.classes[static_cast<std::size_t>(label)];
    if (result.hits1 < result.images) {
      run.worst.push_back({label, {}});
    }
  }
  if (run.worst.empty()) {
    return;
  }
  try {
    add_examples(run);
  } catch (const core::Error& error) {  // the rest of the report does not need them
    run.note_on_examples = error.what();
  }
}

}  // namespace tessera::train

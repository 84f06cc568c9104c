#include "tessera/report/evaluation.hpp"

#include "tessera/core/error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

namespace tessera::report {
namespace {

double ratio(double part, std::int64_t whole) {
  return whole > 0 ? part / static_cast<double>(whole) : std::numeric_limits<double>::quiet_NaN();
}

double percent(std::int64_t part, std::int64_t whole) { return ratio(100 * static_cast<double>(part), whole); }

std::size_t bin_of(double confidence) {
  const auto above = static_cast<std::int64_t>(std::ceil(confidence * kCalibrationBins));
  return static_cast<std::size_t>(std::clamp<std::int64_t>(above - 1, 0, kCalibrationBins - 1));
}

double expected_calibration_error(const std::vector<CalibrationBin>& bins, std::int64_t num_images) {
  double error = 0;
  for (const CalibrationBin& bin : bins) {
    error += std::abs(static_cast<double>(bin.hits) - bin.confidence_sum);
  }
  return ratio(error, num_images);
}

}  // namespace

double ClassResult::acc1() const { return percent(hits1, images); }
double ClassResult::acc5() const { return percent(hits5, images); }
double ClassResult::precision() const { return percent(hits1, predicted); }
double CalibrationBin::accuracy() const { return ratio(static_cast<double>(hits), images); }
double CalibrationBin::confidence() const { return ratio(confidence_sum, images); }

Evaluation summarize(const std::vector<ImageOutcome>& outcomes, const std::vector<std::string>& class_names) {
  Evaluation result;
  for (const std::string& name : class_names) {
    result.classes.push_back({name});
  }
  result.bins.resize(kCalibrationBins);
  std::map<std::pair<std::int32_t, std::int32_t>, std::int64_t> confusion;
  std::int64_t hits1 = 0;
  std::int64_t hits5 = 0;
  for (const ImageOutcome& outcome : outcomes) {
    core::require(outcome.index == result.num_images, "report", "image {} of an evaluation stands in place {}",
                  outcome.index, result.num_images);
    ++result.num_images;
    result.loss += outcome.loss;
    ClassResult& of_label = result.classes.at(static_cast<std::size_t>(outcome.label));
    ++of_label.images;
    if (outcome.prediction < 0) {
      ++result.num_without_prediction;
      continue;
    }
    const bool hit = outcome.prediction == outcome.label;
    const bool near = outcome.label_rank < 5;
    of_label.hits1 += hit ? 1 : 0;
    of_label.hits5 += near ? 1 : 0;
    hits1 += hit ? 1 : 0;
    hits5 += near ? 1 : 0;
    ++result.classes.at(static_cast<std::size_t>(outcome.prediction)).predicted;
    ++confusion[{outcome.label, outcome.prediction}];
    CalibrationBin& bin = result.bins[bin_of(outcome.confidence)];
    ++bin.images;
    bin.hits += hit ? 1 : 0;
    bin.confidence_sum += outcome.confidence;
  }
  for (const auto& [cell, images] : confusion) {
    result.confusion.push_back({cell.first, cell.second, images});
  }
  result.loss = ratio(result.loss, result.num_images);
  result.acc1 = percent(hits1, result.num_images);
  result.acc5 = percent(hits5, result.num_images);
  result.ece = expected_calibration_error(result.bins, result.num_images - result.num_without_prediction);
  return result;
}

std::vector<ConfusionCell> largest_confusions(const Evaluation& evaluation, std::size_t count) {
  std::vector<ConfusionCell> cells;
  std::ranges::copy_if(evaluation.confusion, std::back_inserter(cells),
                       [](const ConfusionCell& cell) { return cell.label != cell.prediction; });
  std::ranges::sort(cells, std::ranges::less(),
                    [](const ConfusionCell& cell) { return std::tuple(-cell.images, cell.label, cell.prediction); });
  cells.resize(std::min(count, cells.size()));
  return cells;
}

std::vector<std::int32_t> worst_classes(const Evaluation& evaluation, std::size_t count) {
  std::vector<std::int32_t> order;
  for (std::size_t i = 0; i < evaluation.classes.size(); ++i) {
    if (evaluation.classes[i].images > 0) {
      order.push_back(static_cast<std::int32_t>(i));
    }
  }
  std::ranges::sort(order, std::ranges::less(), [&evaluation](std::int32_t index) {
    return std::pair(evaluation.classes[static_cast<std::size_t>(index)].acc1(), index);
  });
  order.resize(std::min(count, order.size()));
  return order;
}

}  // namespace tessera::report

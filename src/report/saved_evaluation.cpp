#include "tessera/report/saved_evaluation.hpp"

#include "tessera/core/error.hpp"
#include "tessera/io/file_system.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <utility>

namespace tessera::report {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

// What was no number was written as null.
double number(const Json& object, const char* key) {
  const Json& value = object.at(key);
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

std::int64_t hits(double percent, std::int64_t images) {
  return std::isfinite(percent) ? std::llround(percent / 100 * static_cast<double>(images)) : 0;
}

ClassResult to_class(const Json& element) {
  ClassResult result;
  result.name = element.at("name").get<std::string>();
  result.images = element.at("images").get<std::int64_t>();
  result.hits1 = hits(number(element, "acc1"), result.images);
  result.hits5 = hits(number(element, "acc5"), result.images);
  return result;
}

CalibrationBin to_bin(const Json& element) {
  CalibrationBin bin;
  bin.images = element.at("images").get<std::int64_t>();
  if (bin.images > 0) {
    bin.hits = hits(100 * number(element, "accuracy"), bin.images);
    bin.confidence_sum = number(element, "confidence") * static_cast<double>(bin.images);
  }
  return bin;
}

// One of [0, num_classes).
std::int32_t to_class_index(const Json& value, std::size_t num_classes) {
  const auto index = value.get<std::int32_t>();
  core::require(index >= 0 && std::cmp_less(index, num_classes), "report", "there is no class {}", index);
  return index;
}

Evaluation to_evaluation(const Json& json) {
  Evaluation result;
  result.loss = number(json, "test_loss");
  result.acc1 = number(json, "test_acc1");
  result.acc5 = number(json, "test_acc5");
  result.ece = number(json, "ece");
  result.num_images = json.at("num_images").get<std::int64_t>();
  result.num_without_prediction = json.at("images_without_prediction").get<std::int64_t>();
  for (const Json& element : json.at("classes")) {
    result.classes.push_back(to_class(element));
  }
  for (const Json& element : json.at("calibration")) {
    result.bins.push_back(to_bin(element));
  }
  for (const Json& cell : json.at("confusion")) {
    const std::int32_t label = to_class_index(cell.at(0), result.classes.size());
    const std::int32_t prediction = to_class_index(cell.at(1), result.classes.size());
    const auto images = cell.at(2).get<std::int64_t>();
    result.confusion.push_back({label, prediction, images});
    result.classes[static_cast<std::size_t>(prediction)].predicted += images;
  }
  return result;
}

std::optional<Evaluation> read_evaluation(const fs::path& path) {
  if (!fs::exists(path)) {
    return std::nullopt;
  }
  constexpr std::int64_t kMostBytes = std::int64_t{256} << 20U;
  try {
    return to_evaluation(Json::parse(io::read_text_file(path.string(), kMostBytes)));
  } catch (const std::exception& error) {
    core::fail<core::UserError>("report", "{} is not what 'tessera eval' prints: {}", path.string(), error.what());
  }
}

std::vector<ImageOutcome> read_predictions(const fs::path& path) {
  std::vector<ImageOutcome> outcomes;
  std::ifstream file(path);
  for (std::string text; std::getline(file, text);) {
    try {
      const Json line = Json::parse(text);
      ImageOutcome outcome;
      outcome.index = line.at("index").get<std::int64_t>();
      outcome.label = line.at("label").get<std::int32_t>();
      outcome.prediction = line.at("prediction").get<std::int32_t>();
      outcome.confidence = static_cast<float>(number(line, "confidence"));
      outcomes.push_back(outcome);
    } catch (const std::exception& error) {
      core::fail<core::UserError>("report", "line {} of {} is not what 'tessera eval --predictions' writes: {}",
                                  outcomes.size() + 1, path.string(), error.what());
    }
  }
  return outcomes;
}

}  // namespace

SavedEvaluation read_saved_evaluation(const std::string& directory) {
  return {read_evaluation(fs::path(directory) / kEvaluationFile),
          read_predictions(fs::path(directory) / kPredictionsFile)};
}

}  // namespace tessera::report

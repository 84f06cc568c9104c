#include "tessera/report/evaluation_text.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace tessera::report {
namespace {

using Json = nlohmann::ordered_json;  // which writes what is no number as null

// RFC 4180.
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    return text;
  }
  std::string result = "\"";
  for (const char letter : text) {
    result += letter == '"' ? "\"\"" : std::string(1, letter);
  }
  return result + "\"";
}

// What is no number is left empty.
std::string number(double value) { return std::isfinite(value) ? fmt::format("{}", value) : ""; }

// Where a figure of the CSV belongs; empty: to the whole.
struct Place {
  std::string label;
  std::string prediction;
  std::string bin;
};

class Csv {
 public:
  void add(const char* metric, const Place& place, const std::string& value) {
    text_ += fmt::format("{},{},{},{},{}\n", metric, quoted(place.label), quoted(place.prediction), place.bin, value);
  }
  void add(const char* metric, const Place& place, double value) { add(metric, place, number(value)); }
  void add(const char* metric, const Place& place, std::int64_t value) { add(metric, place, std::to_string(value)); }

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_ = "metric,class,prediction,bin,value\n";
};

// Names need not be UTF-8.
std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string line_of(const ImageOutcome& outcome, const std::string* name, bool csv) {
  const std::string confidence = std::isfinite(outcome.confidence) ? fmt::format("{}", outcome.confidence) : "";
  if (csv) {
    return fmt::format("{},{},{},{}{}\n", outcome.index, outcome.label, outcome.prediction, confidence,
                       name != nullptr ? "," + quoted(*name) : "");
  }
  return fmt::format(R"({{"index":{},"label":{},"prediction":{},"confidence":{}{}}})", outcome.index, outcome.label,
                     outcome.prediction, confidence.empty() ? "null" : confidence,
                     name != nullptr ? R"(,"image":)" + dump(*name) : "") +
         "\n";
}

}  // namespace

std::string to_json_line(const Evaluation& evaluation) {
  Json json = {{"test_loss", evaluation.loss}, {"test_acc1", evaluation.acc1},
               {"test_acc5", evaluation.acc5}, {"num_images", evaluation.num_images},
               {"ece", evaluation.ece},        {"images_without_prediction", evaluation.num_without_prediction},
               {"classes", Json::array()},     {"calibration", Json::array()},
               {"confusion", Json::array()}};
  for (const ClassResult& result : evaluation.classes) {
    json["classes"].push_back({{"name", result.name},
                               {"images", result.images},
                               {"acc1", result.acc1()},
                               {"acc5", result.acc5()},
                               {"precision", result.precision()}});
  }
  for (const CalibrationBin& bin : evaluation.bins) {
    json["calibration"].push_back(
        {{"images", bin.images}, {"accuracy", bin.accuracy()}, {"confidence", bin.confidence()}});
  }
  for (const ConfusionCell& cell : evaluation.confusion) {
    json["confusion"].push_back({cell.label, cell.prediction, cell.images});
  }
  return dump(json);
}

std::string to_csv(const Evaluation& evaluation) {
  Csv csv;
  csv.add("images", {}, evaluation.num_images);
  csv.add("images_without_prediction", {}, evaluation.num_without_prediction);
  csv.add("loss", {}, evaluation.loss);
  csv.add("acc1", {}, evaluation.acc1);
  csv.add("acc5", {}, evaluation.acc5);
  csv.add("ece", {}, evaluation.ece);
  for (const ClassResult& result : evaluation.classes) {
    const Place place{result.name, "", ""};
    csv.add("images", place, result.images);
    csv.add("acc1", place, result.acc1());
    csv.add("acc5", place, result.acc5());
    csv.add("precision", place, result.precision());
  }
  for (std::size_t i = 0; i < evaluation.bins.size(); ++i) {
    const Place place{"", "", std::to_string(i)};
    csv.add("images", place, evaluation.bins[i].images);
    csv.add("accuracy", place, evaluation.bins[i].accuracy());
    csv.add("confidence", place, evaluation.bins[i].confidence());
  }
  for (const ConfusionCell& cell : evaluation.confusion) {
    csv.add("confusion",
            {evaluation.classes[static_cast<std::size_t>(cell.label)].name,
             evaluation.classes[static_cast<std::size_t>(cell.prediction)].name, ""},
            cell.images);
  }
  return csv.text();
}

std::string predictions_text(const std::string& path, const std::vector<ImageOutcome>& outcomes,
                             const std::vector<std::string>& image_names) {
  const bool csv = path.ends_with(".csv");
  const bool named = !image_names.empty();
  std::string text = csv ? fmt::format("index,label,prediction,confidence{}\n", named ? ",image" : "") : "";
  for (const ImageOutcome& outcome : outcomes) {
    text += line_of(outcome, named ? &image_names.at(static_cast<std::size_t>(outcome.index)) : nullptr, csv);
  }
  return text;
}

}  // namespace tessera::report

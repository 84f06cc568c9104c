#include "report/figures.hpp"
#include "tessera/core/error.hpp"
#include "tessera/report/page.hpp"
#include "tessera/report/plot.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>
#include <functional>

namespace tessera::report {
namespace {

using Json = nlohmann::ordered_json;  // which writes what is no number as null

constexpr std::size_t kBuckets = 500;  // a curve has no more places than pixels
constexpr std::size_t kTrendBuckets = 80;
constexpr std::size_t kClockPoints = 200;

// Six digits are more than can be seen, and keep the file small.
double rounded(double value) {
  if (value == 0 || !std::isfinite(value)) {
    return value;
  }
  const double scale = std::pow(10, 5 - std::floor(std::log10(std::abs(value))));
  return std::isfinite(scale) && scale > 0 ? std::round(value * scale) / scale : value;
}

Json to_json(const std::vector<Point>& points) {
  Json json = Json::array();
  for (const Point& point : points) {
    json.push_back({rounded(point.x), rounded(point.y)});
  }
  return json;
}

Json series(std::size_t run, const char* kind, const std::vector<Point>& points) {
  Json json = {{"run", run}, {"kind", kind}, {"points", to_json(thinned(points, kBuckets))}};
  if (points.size() > 2 * kTrendBuckets) {
    json["trend"] = to_json(averaged(points, kTrendBuckets));
  }
  return json;
}

// One panel, by step: a figure of the steps, and one of the tests after the epochs.
struct Curve {
  const char* title;
  const char* unit;
  std::function<double(const StepRecord&)> of_step;
  double EpochRecord::*of_test = nullptr;
};

std::vector<Curve> curves() {
  const auto of = [](double StepRecord::*value) { return [value](const StepRecord& step) { return step.*value; }; };
  return {
      {"Loss", "", of(&StepRecord::loss), &EpochRecord::test_loss},
      {"Accuracy", "%", of(&StepRecord::accuracy), &EpochRecord::test_acc1},
      {"Learning rate", "", of(&StepRecord::lr)},
      {"Norm of the gradient", "", of(&StepRecord::grad_norm)},
      {"Throughput", "tokens/s", of(&StepRecord::tokens_per_s)},
      {"Model FLOPs utilization", "%", [](const StepRecord& step) { return 100 * step.mfu; }},
      {"Peak memory of a rank", "bytes", [](const StepRecord& step) { return static_cast<double>(step.peak_bytes); }}};
}

Json to_json(const Curve& curve, const std::vector<PageRun>& runs) {
  Json json = {{"title", curve.title}, {"unit", curve.unit}, {"series", Json::array()}};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::vector<Point> steps;
    for (const StepRecord& step : runs[i].record.steps) {
      steps.push_back({static_cast<double>(step.step), curve.of_step(step)});
    }
    std::vector<Point> tests;
    for (const EpochRecord& epoch : runs[i].record.epochs) {
      if (curve.of_test != nullptr && epoch.end_step > 0) {
        tests.push_back({static_cast<double>(epoch.end_step), epoch.*curve.of_test});
      }
    }
    json["series"].push_back(series(i, "train", steps));
    if (!tests.empty()) {
      json["series"].push_back(series(i, "test", tests));
    }
  }
  return json;
}

// [step, seconds of training until its end], from which a step's time is interpolated.
Json clock_of(const RunRecord& run) {
  Json clock = Json::array();
  double seconds = 0;
  const std::size_t stride = run.steps.size() / kClockPoints + 1;
  for (std::size_t i = 0; i < run.steps.size(); ++i) {
    seconds += std::isfinite(run.steps[i].seconds) ? run.steps[i].seconds : 0;
    if (i % stride == 0 || i + 1 == run.steps.size()) {
      clock.push_back({run.steps[i].step, rounded(seconds)});
    }
  }
  return clock;
}

Json to_json(const std::vector<PlannedBytes>& items) {
  Json json = Json::array();
  for (const PlannedBytes& item : items) {
    json.push_back({{"name", item.name}, {"bytes", item.bytes}, {"what", item.what}});
  }
  return json;
}

Json checkpoints_of(const RunRecord& run) {
  Json json = Json::array();
  for (const SaveRecord& save : run.saves) {
    json.push_back({{"name", save.name},
                    {"step", save.step},
                    {"bytes", save.bytes},
                    {"seconds", rounded(save.seconds)},
                    {"stall_seconds", rounded(save.stall_seconds)},
                    {"waited_seconds", rounded(save.waited_seconds)},
                    {"async", save.async},
                    {"kept", std::filesystem::exists(std::filesystem::path(run.directory) / save.name)}});
  }
  return json;
}

Json epochs_of(const RunRecord& run) {
  Json json = Json::array();
  for (const EpochRecord& epoch : run.epochs) {
    json.push_back({{"epoch", epoch.epoch},
                    {"train_loss", rounded(epoch.train_loss)},
                    {"train_acc1", rounded(epoch.train_acc1)},
                    {"test_loss", rounded(epoch.test_loss)},
                    {"test_acc1", rounded(epoch.test_acc1)},
                    {"test_acc5", rounded(epoch.test_acc5)},
                    {"seconds", rounded(epoch.seconds)},
                    {"skipped_steps", epoch.skipped_steps}});
  }
  return json;
}

std::string base64(const std::string& bytes) {
  constexpr const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8U | (k < count ? static_cast<std::uint8_t>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      text += k <= count ? kDigits[group >> (18 - 6 * k) & 63U] : '=';
    }
  }
  return text;
}

Json to_json(const WorstClass& worst) {
  Json json = {{"label", worst.label}, {"examples", Json::array()}};
  for (const Example& example : worst.examples) {
    json["examples"].push_back({{"index", example.index},
                                {"prediction", example.prediction},
                                {"confidence", rounded(example.confidence)},
                                {"src", "data:image/png;base64," + base64(example.png)}});
  }
  return json;
}

Json evaluation_of(const PageRun& run) {
  const Evaluation& evaluation = *run.saved.evaluation;
  Json json = {{"loss", evaluation.loss},
               {"acc1", evaluation.acc1},
               {"acc5", evaluation.acc5},
               {"ece", evaluation.ece},
               {"num_images", evaluation.num_images},
               {"classes", Json::array()},
               {"confusion", Json::array()},
               {"calibration", Json::array()},
               {"worst", Json::array()},
               {"note_on_examples", run.note_on_examples}};
  for (const ClassResult& result : evaluation.classes) {
    json["classes"].push_back({{"name", result.name},
                               {"images", result.images},
                               {"acc1", rounded(result.acc1())},
                               {"precision", rounded(result.precision())}});
  }
  for (const ConfusionCell& cell : evaluation.confusion) {
    json["confusion"].push_back({cell.label, cell.prediction, cell.images});
  }
  for (const CalibrationBin& bin : evaluation.bins) {
    json["calibration"].push_back({bin.images, rounded(bin.accuracy()), rounded(bin.confidence())});
  }
  for (const WorstClass& worst : run.worst) {
    json["worst"].push_back(to_json(worst));
  }
  return json;
}

Json to_json(const PageRun& run) {
  const RunRecord& record = run.record;
  Json json = {{"directory", record.directory},
               {"settings", record.settings},
               {"figures", Json::object()},
               {"parts", Json::object()},
               {"clock", clock_of(record)},
               {"epochs", epochs_of(record)},
               {"checkpoints", checkpoints_of(record)},
               {"plan", nullptr},
               {"evaluation", nullptr}};
  for (const RunFigure& figure : whole_figures(record)) {
    json["figures"][key_of(figure.name, figure.unit)] = rounded(figure.value);
  }
  const std::array<double, kStepParts.size()> parts = mean_parts(record);
  for (std::size_t part = 0; part < parts.size(); ++part) {
    json["parts"][std::string(kStepParts[part])] = rounded(parts[part]);
  }
  if (record.plan) {
    json["plan"] = {{"device", record.plan->device},
                    {"items", to_json(record.plan->items)},
                    {"host_items", to_json(record.plan->host_items)}};
  }
  if (run.saved.evaluation) {
    json["evaluation"] = evaluation_of(run);
  }
  return json;
}

}  // namespace

std::string page_data(const std::vector<PageRun>& runs) {
  Json json = {{"runs", Json::array()}, {"curves", Json::array()}, {"differences", Json::array()}};
  std::vector<RunRecord> records;
  for (const PageRun& run : runs) {
    json["runs"].push_back(to_json(run));
    records.push_back(run.record);
  }
  for (const Curve& curve : curves()) {
    json["curves"].push_back(to_json(curve, runs));
  }
  for (const SettingDifference& difference : settings_that_differ(records)) {
    json["differences"].push_back({{"name", difference.name}, {"values", difference.values}});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tessera::report

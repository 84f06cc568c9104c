#include "report/figures.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>

namespace tessera::report {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// Of the steps but the first, which warms up; NaN where there are none.
double median(const RunRecord& run, double StepRecord::*value) {
  std::vector<double> values;
  for (std::size_t i = 1; i < run.steps.size(); ++i) {
    if (std::isfinite(run.steps[i].*value)) {
      values.push_back(run.steps[i].*value);
    }
  }
  if (values.empty()) {
    return kNone;
  }
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

template <class Record>
double sum(const std::vector<Record>& records, double Record::*value) {
  double total = 0;
  for (const Record& record : records) {
    total += record.*value;
  }
  return total;
}

}  // namespace

std::array<double, kStepParts.size()> mean_parts(const RunRecord& run) {
  std::array<double, kStepParts.size()> means{};
  for (std::size_t part = 0; part < means.size(); ++part) {
    for (std::size_t i = 1; i < run.steps.size(); ++i) {
      means[part] += run.steps[i].part_seconds[part];
    }
    means[part] = run.steps.size() > 1 ? means[part] / static_cast<double>(run.steps.size() - 1) : kNone;
  }
  return means;
}

std::vector<RunFigure> whole_figures(const RunRecord& run) {
  std::vector<RunFigure> figures{{"steps", "", static_cast<double>(run.steps.size())},
                                 {"epochs", "", static_cast<double>(run.epochs.size())},
                                 {"training", "s", sum(run.steps, &StepRecord::seconds)},
                                 {"evaluations", "s", sum(run.epochs, &EpochRecord::eval_seconds)},
                                 {"step", "s", median(run, &StepRecord::seconds)}};
  const std::array<double, kStepParts.size()> parts = mean_parts(run);
  for (std::size_t part = 0; part < parts.size(); ++part) {
    figures.push_back({"  " + std::string(kStepParts[part]), "s", parts[part]});
  }
  figures.push_back({"tokens", "/s", median(run, &StepRecord::tokens_per_s)});
  figures.push_back({"MFU", "%", 100 * median(run, &StepRecord::mfu)});
  figures.push_back({"peak memory", "bytes", static_cast<double>(run.peak_bytes())});
  return figures;
}

std::string key_of(const std::string& name, const std::string& unit) {
  std::string key = name.substr(name.find_first_not_of(' '));
  for (char& letter : key) {
    letter = letter == ' ' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  const char* const ending = unit == "s"       ? "_seconds"
                             : unit == "/s"    ? "_per_s"
                             : unit == "%"     ? "_percent"
                             : unit == "bytes" ? "_bytes"
                                               : "";
  return key + ending;
}

}  // namespace tessera::report

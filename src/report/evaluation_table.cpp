#include "tessera/core/table.hpp"
#include "tessera/core/units.hpp"
#include "tessera/report/evaluation_text.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace tessera::report {
namespace {

// What fits a terminal: all of so many classes, else the worst of them and the largest confusions.
constexpr std::size_t kFewClasses = 20;
constexpr std::size_t kWorstShown = 15;
constexpr std::size_t kConfusionsShown = 10;

std::string percent(double value) { return std::isfinite(value) ? fmt::format("{:.2f}%", value) : "-"; }

// "3 cat", or "3" where the class has no name but its number.
std::string called(const Evaluation& evaluation, std::int32_t index) {
  const std::string& name = evaluation.classes[static_cast<std::size_t>(index)].name;
  const std::string number = std::to_string(index);
  return name == number ? number : number + " " + name;
}

std::string overall(const Evaluation& evaluation) {
  std::string line = fmt::format("acc1 {}  acc5 {}  loss {:.4f}  ECE {}  {} images", percent(evaluation.acc1),
                                 percent(evaluation.acc5), evaluation.loss, percent(100 * evaluation.ece),
                                 core::format_count(evaluation.num_images));
  if (evaluation.num_without_prediction > 0) {
    line +=
        fmt::format(" ({} without a prediction: not finite)", core::format_count(evaluation.num_without_prediction));
  }
  return line + "\n";
}

// The confusion of each label that occurs most.
std::map<std::int32_t, ConfusionCell> mistakes_by_label(const Evaluation& evaluation) {
  std::map<std::int32_t, ConfusionCell> mistakes;
  for (const ConfusionCell& cell : evaluation.confusion) {
    if (cell.label != cell.prediction && cell.images > mistakes[cell.label].images) {
      mistakes[cell.label] = cell;
    }
  }
  return mistakes;
}

std::string class_table(const Evaluation& evaluation, const std::vector<std::int32_t>& shown) {
  core::Table table({{"class"}, {"images", true}, {"acc1", true}, {"acc5", true}, {"precision", true}, {"taken for"}});
  std::map<std::int32_t, ConfusionCell> mistakes = mistakes_by_label(evaluation);
  for (const std::int32_t index : shown) {
    const ClassResult& result = evaluation.classes[static_cast<std::size_t>(index)];
    const ConfusionCell& mistake = mistakes[index];
    table.add(
        {called(evaluation, index), core::format_count(result.images), percent(result.acc1()), percent(result.acc5()),
         percent(result.precision()),
         mistake.images > 0 ? fmt::format("{} ({})", called(evaluation, mistake.prediction), mistake.images) : ""});
  }
  return table.text(2);
}

std::string confusion_matrix(const Evaluation& evaluation) {
  std::vector<core::Table::Column> columns{{"label \\ prediction"}};
  for (std::size_t i = 0; i < evaluation.classes.size(); ++i) {
    columns.push_back({std::to_string(i), true});
  }
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < evaluation.classes.size(); ++i) {
    rows.emplace_back(evaluation.classes.size() + 1, ".");
    rows.back().front() = called(evaluation, static_cast<std::int32_t>(i));
  }
  for (const ConfusionCell& cell : evaluation.confusion) {
    rows[static_cast<std::size_t>(cell.label)][static_cast<std::size_t>(cell.prediction) + 1] =
        std::to_string(cell.images);
  }
  core::Table table(std::move(columns));
  for (std::vector<std::string>& row : rows) {
    table.add(std::move(row));
  }
  return "\n" + table.text(2);
}

std::string confusion_list(const Evaluation& evaluation) {
  core::Table table({{"label"}, {"taken for"}, {"images", true}});
  for (const ConfusionCell& cell : largest_confusions(evaluation, kConfusionsShown)) {
    table.add({called(evaluation, cell.label), called(evaluation, cell.prediction), core::format_count(cell.images)});
  }
  return "\nthe confusions that occur most:\n" + table.text(2);
}

}  // namespace

std::string to_table(const Evaluation& evaluation) {
  std::string text = overall(evaluation);
  if (evaluation.classes.size() <= kFewClasses) {
    std::vector<std::int32_t> all;
    for (std::size_t i = 0; i < evaluation.classes.size(); ++i) {
      all.push_back(static_cast<std::int32_t>(i));
    }
    text += class_table(evaluation, all) + confusion_matrix(evaluation);
  } else {
    text += fmt::format("the {} least accurate of {} classes (--csv FILE holds all):\n", kWorstShown,
                        core::format_count(static_cast<std::int64_t>(evaluation.classes.size())));
    text += class_table(evaluation, worst_classes(evaluation, kWorstShown)) + confusion_list(evaluation);
  }
  text.pop_back();
  return text;
}

}  // namespace tessera::report

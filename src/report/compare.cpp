#include "report/figures.hpp"
#include "tessera/report/comparison.hpp"

#include <algorithm>
#include <cmath>

namespace tessera::report {
namespace {

template <class Record>
struct Figure {
  const char* name;
  double Record::*value;
};
constexpr std::array<Figure<StepRecord>, 4> kStepFigures{{{"loss", &StepRecord::loss},
                                                          {"acc1", &StepRecord::accuracy},
                                                          {"lr", &StepRecord::lr},
                                                          {"grad_norm", &StepRecord::grad_norm}}};
constexpr std::array<Figure<EpochRecord>, 5> kEpochFigures{{{"train_loss", &EpochRecord::train_loss},
                                                            {"train_acc1", &EpochRecord::train_acc1},
                                                            {"test_loss", &EpochRecord::test_loss},
                                                            {"test_acc1", &EpochRecord::test_acc1},
                                                            {"test_acc5", &EpochRecord::test_acc5}}};

// Calls use(place, a, b) wherever both lists have a record of the same place.
template <class Record, class Use>
void walk(const std::vector<Record>& a, const std::vector<Record>& b, std::int64_t Record::*place, Use use) {
  auto left = a.begin();
  auto right = b.begin();
  while (left != a.end() && right != b.end()) {
    if ((*left).*place < (*right).*place) {
      ++left;
    } else if ((*right).*place < (*left).*place) {
      ++right;
    } else {
      use((*left).*place, *left, *right);
      ++left;
      ++right;
    }
  }
}

template <class Record, std::size_t N>
std::vector<CurveDifference> compare_curves(const std::vector<Record>& a, const std::vector<Record>& b,
                                            std::int64_t Record::*place, const std::array<Figure<Record>, N>& figures,
                                            double tolerance) {
  std::vector<CurveDifference> curves;
  for (const auto& [name, value] : figures) {
    CurveDifference curve;
    curve.name = name;
    walk(a, b, place, [&, value = value](std::int64_t at, const Record& left, const Record& right) {
      const double x = left.*value;
      const double y = right.*value;
      if (!std::isfinite(x) || !std::isfinite(y)) {
        return;
      }
      const double difference = std::abs(x - y);
      ++curve.points;
      curve.last = {x, y};
      curve.mean += difference;
      if (difference > curve.max) {
        curve.max = difference;
        curve.max_at = at;
      }
      if (difference > 0 && curve.differ_from < 0) {
        curve.differ_from = at;
      }
      if (difference > tolerance * std::max(std::abs(x), std::abs(y)) && curve.part_at < 0) {
        curve.part_at = at;
      }
    });
    if (curve.points > 0) {
      curve.mean /= static_cast<double>(curve.points);
      curves.push_back(std::move(curve));
    }
  }
  return curves;
}

std::vector<WholeFigure> whole_figures(const RunRecord& a, const RunRecord& b) {
  std::vector<WholeFigure> figures;
  const std::vector<RunFigure> right = whole_figures(b);
  for (const RunFigure& left : whole_figures(a)) {
    figures.push_back({left.name, left.unit, {left.value, right[figures.size()].value}});
  }
  return figures;
}

}  // namespace

Comparison compare(const RunRecord& a, const RunRecord& b, double tolerance) {
  Comparison comparison;
  comparison.directories = {a.directory, b.directory};
  comparison.settings = settings_that_differ({a, b});
  comparison.by_step = compare_curves(a.steps, b.steps, &StepRecord::step, kStepFigures, tolerance);
  comparison.by_epoch = compare_curves(a.epochs, b.epochs, &EpochRecord::epoch, kEpochFigures, tolerance);
  comparison.figures = whole_figures(a, b);
  comparison.tolerance = tolerance;
  return comparison;
}

}  // namespace tessera::report

#include "tessera/core/error.hpp"
#include "tessera/io/file_system.hpp"
#include "tessera/report/comparison.hpp"
#include "tessera/report/plot.hpp"

#include <cmath>
#include <cstdio>

namespace tessera::report {
namespace {

template <class Record, class X>
Plot plot_of(const std::string& title, const std::string& x_title,
             const std::array<const std::vector<Record>*, 2>& runs, X x, double Record::*value) {
  Plot plot{title, x_title, {{"", Ink::kFirst, {}}, {"", Ink::kSecond, {}}}};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    for (const Record& record : *runs[i]) {
      plot.series[i].points.push_back({static_cast<double>(record.*x), record.*value});
    }
  }
  return plot;
}

// |a - b| where both have a step.
Plot loss_difference(const RunRecord& a, const RunRecord& b) {
  Plot plot{"Difference of the loss, |a − b|", "step", {{"", Ink::kNeutral, {}}}, true};
  auto right = b.steps.begin();
  for (const StepRecord& left : a.steps) {
    while (right != b.steps.end() && right->step < left.step) {
      ++right;
    }
    if (right != b.steps.end() && right->step == left.step) {
      plot.series[0].points.push_back({static_cast<double>(left.step), std::abs(left.loss - right->loss)});
    }
  }
  return plot;
}

}  // namespace

std::string to_svg(const RunRecord& a, const RunRecord& b) {
  const auto by_step = [&](const char* title, double StepRecord::*value) {
    return plot_of(title, "step", std::array{&a.steps, &b.steps}, &StepRecord::step, value);
  };
  const auto by_epoch = [&](const char* title, double EpochRecord::*value) {
    return plot_of(title, "epoch", std::array{&a.epochs, &b.epochs}, &EpochRecord::epoch, value);
  };
  std::vector<Plot> plots{by_step("Training loss", &StepRecord::loss),
                          loss_difference(a, b),
                          by_step("Training accuracy, %", &StepRecord::accuracy),
                          by_epoch("Test accuracy, %", &EpochRecord::test_acc1),
                          by_step("Norm of the gradient", &StepRecord::grad_norm),
                          by_step("Learning rate", &StepRecord::lr),
                          by_step("Tokens/s", &StepRecord::tokens_per_s),
                          by_epoch("Test loss", &EpochRecord::test_loss)};
  plots.front().series[0].label = "a  " + a.directory;
  plots.front().series[1].label = "b  " + b.directory;
  return to_svg("Two runs", plots);
}

void run_compare(const CompareRequest& request) {
  const RunRecord a = read_run(request.first);
  const RunRecord b = read_run(request.second);
  if (!request.svg_file.empty()) {
    try {
      io::FileSystem().atomic_write(request.svg_file, to_svg(a, b));
    } catch (const core::UserError&) {
      throw;
    } catch (const core::Error& error) {
      core::fail<core::UserError>("report", "--output {} cannot be written: {}", request.svg_file, error.what());
    }
  }
  const Comparison comparison = compare(a, b, request.tolerance);
  if (request.json) {
    std::puts(to_json(comparison).c_str());
  } else {
    std::fputs(to_table(comparison).c_str(), stdout);
  }
}

}  // namespace tessera::report

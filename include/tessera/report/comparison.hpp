#pragma once

#include "tessera/report/run.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace tessera::report {

/// How far a figure of two runs is apart over the points that both have and where both are numbers.
struct CurveDifference {
  std::string name;  ///< "loss"
  std::int64_t points = 0;
  std::array<double, 2> last{};  ///< at the last of the points
  double mean = 0;               ///< of |a - b|
  double max = 0;
  std::int64_t max_at = -1;
  std::int64_t differ_from = -1;  ///< the first point at which they are not the same; -1: there is none
  std::int64_t part_at = -1;      ///< the first at which |a - b| > tolerance x max(|a|, |b|); -1: there is none
};

/// A figure of the whole of each run. NaN where a run does not tell it.
struct WholeFigure {
  std::string name;
  std::string unit;  ///< "s", "bytes", "/s", "" ...
  std::array<double, 2> values{};
};

struct Comparison {
  std::array<std::string, 2> directories;
  std::vector<SettingDifference> settings;
  std::vector<CurveDifference> by_step;   ///< loss, acc1, lr, grad_norm; those that both runs have
  std::vector<CurveDifference> by_epoch;  ///< train_loss, train_acc1, test_loss, test_acc1, test_acc5
  std::vector<WholeFigure> figures;       ///< steps, times (medians over the steps but the first), rates, memory
  double tolerance = 0;
};

Comparison compare(const RunRecord& a, const RunRecord& b, double tolerance);

/// For people. Ends with a line break.
std::string to_table(const Comparison& comparison);
std::string to_json(const Comparison& comparison);

/// Curves of both runs as an SVG file.
std::string to_svg(const RunRecord& a, const RunRecord& b);

/// What `tessera compare` is told.
struct CompareRequest {
  std::string first;
  std::string second;
  double tolerance = 0;
  bool json = false;
  std::string svg_file;  ///< empty: no picture
};

/// Prints the comparison on stdout, and writes the picture. Throws UserError as read_run() does, or where the picture
/// cannot be written.
void run_compare(const CompareRequest& request);

}  // namespace tessera::report

#include "report/figures.hpp"
#include "tessera/core/table.hpp"
#include "tessera/core/units.hpp"
#include "tessera/report/comparison.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace tessera::report {
namespace {

using Json = nlohmann::ordered_json;

std::string cell(double value, const std::string& unit) {
  if (!std::isfinite(value)) {
    return "-";
  }
  if (unit == "bytes") {
    return core::format_bytes(value);
  }
  if (unit.empty() || unit == "/s") {
    return core::format_count(static_cast<std::int64_t>(std::llround(value))) + unit;
  }
  return unit == "s" && value >= 100 ? core::format_duration(value) : fmt::format("{:.4g} {}", value, unit);
}

std::string place(std::int64_t at) { return at < 0 ? "never" : core::format_count(at); }

std::string settings_table(const Comparison& comparison) {
  if (comparison.settings.empty()) {
    return "no setting differs\n";
  }
  core::Table table({{"setting"}, {"a"}, {"b"}});
  for (const SettingDifference& difference : comparison.settings) {
    table.add({difference.name, difference.values[0], difference.values[1]});
  }
  return "settings that differ\n" + table.text(2);
}

std::string curves_table(const std::vector<CurveDifference>& curves, const char* by) {
  core::Table table({{fmt::format("by {}", by)},
                     {"points", true},
                     {"last a", true},
                     {"last b", true},
                     {"mean |a-b|", true},
                     {"max |a-b|", true},
                     {"at", true},
                     {"differ from", true},
                     {"part at", true}});
  for (const CurveDifference& curve : curves) {
    table.add({curve.name, core::format_count(curve.points), fmt::format("{:.6g}", curve.last[0]),
               fmt::format("{:.6g}", curve.last[1]), fmt::format("{:.3g}", curve.mean),
               fmt::format("{:.3g}", curve.max), curve.max_at < 0 ? "-" : core::format_count(curve.max_at),
               place(curve.differ_from), place(curve.part_at)});
  }
  return table.text(2);
}

std::string figures_table(const Comparison& comparison) {
  core::Table table({{"whole"}, {"a", true}, {"b", true}, {"b / a", true}});
  for (const WholeFigure& figure : comparison.figures) {
    const double ratio = figure.values[1] / figure.values[0];
    table.add({figure.name, cell(figure.values[0], figure.unit), cell(figure.values[1], figure.unit),
               std::isfinite(ratio) ? fmt::format("{:.3f}", ratio) : "-"});
  }
  return table.text(2);
}

Json to_json(const std::vector<CurveDifference>& curves) {
  Json json = Json::object();
  for (const CurveDifference& curve : curves) {
    const auto at = [](std::int64_t point) { return point < 0 ? Json(nullptr) : Json(point); };
    json[curve.name] = {{"points", curve.points},        {"last", curve.last},
                        {"mean_difference", curve.mean}, {"max_difference", curve.max},
                        {"max_at", at(curve.max_at)},    {"differ_from", at(curve.differ_from)},
                        {"part_at", at(curve.part_at)}};
  }
  return json;
}

}  // namespace

std::string to_table(const Comparison& comparison) {
  std::string text = fmt::format("a  {}\nb  {}\n\n", comparison.directories[0], comparison.directories[1]);
  text += settings_table(comparison);
  text += fmt::format("\ncurves (they part where |a-b| is first above {:g} of the greater)\n", comparison.tolerance);
  text += curves_table(comparison.by_step, "step");
  if (!comparison.by_epoch.empty()) {
    text += "\n" + curves_table(comparison.by_epoch, "epoch");
  }
  return text + "\nof a step: medians, and of its parts means, of all steps but the first\n" +
         figures_table(comparison);
}

std::string to_json(const Comparison& comparison) {
  Json json = {{"runs", comparison.directories},
               {"tolerance", comparison.tolerance},
               {"settings", Json::object()},
               {"by_step", to_json(comparison.by_step)},
               {"by_epoch", to_json(comparison.by_epoch)},
               {"whole", Json::object()}};
  for (const SettingDifference& difference : comparison.settings) {
    json["settings"][difference.name] = difference.values;
  }
  for (const WholeFigure& figure : comparison.figures) {
    json["whole"][key_of(figure.name, figure.unit)] = figure.values;
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tessera::report

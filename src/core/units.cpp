#include "tessera/core/units.hpp"

#include "tessera/core/error.hpp"

#include <array>
#include <charconv>
#include <cmath>

namespace tessera::core {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
};
constexpr std::array<Unit, 13> kUnits{{{"", 1},
                                       {"B", 1},
                                       {"K", 1024.0},
                                       {"KiB", 1024.0},
                                       {"KB", 1e3},
                                       {"M", 1048576.0},
                                       {"MiB", 1048576.0},
                                       {"MB", 1e6},
                                       {"G", 1073741824.0},
                                       {"GiB", 1073741824.0},
                                       {"GB", 1e9},
                                       {"TiB", 1099511627776.0},
                                       {"TB", 1e12}}};
constexpr double kMostBytes = 0x1p62;  // any more is a slip, and would not fit

}  // namespace

std::int64_t parse_bytes(std::string_view text) {
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit.front() == ' ') {
    unit.remove_prefix(1);
  }
  for (const Unit& known : kUnits) {
    if (status == std::errc{} && value >= 0 && value * known.bytes < kMostBytes && unit == known.name) {
      return static_cast<std::int64_t>(std::llround(value * known.bytes));
    }
  }
  fail<UserError>("core", "'{}' is not an amount of memory; write it like 80GiB, 512MiB or 40GB", text);
}

std::string format_bytes(double bytes) {
  constexpr std::array<std::string_view, 5> kNames{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (std::abs(bytes) >= 1024 && unit + 1 < kNames.size()) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes)
                   : fmt::format("{:.{}f} {}", bytes, bytes < 10 ? 2 : 1, kNames[unit]);
}

std::string format_duration(double seconds) {
  const auto total = static_cast<std::int64_t>(std::llround(std::isfinite(seconds) ? seconds : 0));
  const std::int64_t hours = total / 3600;
  const std::int64_t minutes = total / 60 % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60)
                   : fmt::format("{}:{:02}", minutes, total % 60);
}

std::string format_count(std::int64_t count) {
  std::string digits = std::to_string(count);
  const std::size_t first = count < 0 ? 1 : 0;
  for (std::size_t end = digits.size(); end > first + 3; end -= 3) {
    digits.insert(end - 3, ",");
  }
  return digits;
}

}  // namespace tessera::core

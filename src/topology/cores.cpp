#include "tessera/core/error.hpp"
#include "tessera/core/parse_number.hpp"
#include "tessera/topology/placement.hpp"

#include <algorithm>
#include <string>

namespace tessera::topology {
namespace {

int core_number(std::string_view text) {
  const auto number = core::parse_number<int>(text);
  core::require(number.value_or(-1) >= 0, "topology", "'{}' is no number of a core", text);
  return *number;
}

}  // namespace

std::string to_ranges(const Cores& cores) {
  std::string text;
  for (std::size_t first = 0; first < cores.size();) {
    std::size_t last = first;
    while (last + 1 < cores.size() && cores[last + 1] == cores[last] + 1) {
      ++last;
    }
    text += text.empty() ? "" : ",";
    text += std::to_string(cores[first]);
    if (last > first) {
      text += "-" + std::to_string(cores[last]);
    }
    first = last + 1;
  }
  return text;
}

Cores parse_cores(std::string_view ranges) {
  Cores cores;
  while (!ranges.empty()) {
    const std::string_view range = ranges.substr(0, ranges.find(','));
    ranges.remove_prefix(std::min(range.size() + 1, ranges.size()));
    const std::size_t dash = range.find('-');
    const int first = core_number(range.substr(0, dash));
    const int last = dash == std::string_view::npos ? first : core_number(range.substr(dash + 1));
    for (int core = first; core <= last; ++core) {
      cores.push_back(core);
    }
  }
  return cores;
}

}  // namespace tessera::topology

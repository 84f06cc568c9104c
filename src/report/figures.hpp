#pragma once

#include "tessera/report/run.hpp"

#include <string>
#include <vector>

namespace tessera::report {

/// A figure of the whole of a run. NaN where the run does not tell it.
struct RunFigure {
  std::string name;
  std::string unit;  ///< "s", "bytes", "/s", "%", ""
  double value = 0;
};

/// Steps, epochs, times, rates and memory, the same figures in the same order for every run. Of a step they are
/// medians, and of its parts means, over all steps but the first, which warms up.
std::vector<RunFigure> whole_figures(const RunRecord& run);

/// Device seconds of a step at each part: the means of whole_figures().
std::array<double, kStepParts.size()> mean_parts(const RunRecord& run);

/// "Peak memory" in "bytes" -> "peak_memory_bytes".
std::string key_of(const std::string& name, const std::string& unit);

}  // namespace tessera::report

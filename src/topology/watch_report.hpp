#pragma once

#include "tessera/core/progress_board.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tessera::topology {

/// How far a rank got.
struct RankReport {
  std::int64_t step = -1;
  std::int64_t num_collectives = 0;
  std::string text;  ///< "step 12, backward; waits for 9.8 s in reduce_scatter of bucket 3"
};

/// Of this rank. `completed`: collectives that the device has done; -1: unknown. `since`: when its time was counted
/// anew.
RankReport report_of(const core::ProgressBoard& board, std::int64_t completed,
                     core::ProgressBoard::Clock::time_point since);

/// What happened, to whom, and how far everybody got: the ranks that do not answer and those that are behind first, at
/// most sixteen of them. `names` are by rank; `last` is what was last heard of ranks that did not answer.
std::string describe_alarm(const std::string& cause, const std::vector<std::string>& names,
                           const std::map<int, RankReport>& reports, const std::map<int, RankReport>& last);

}  // namespace tessera::topology

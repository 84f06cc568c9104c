#include "topology/watch_report.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>
#include <tuple>

namespace tessera::topology {
namespace {

constexpr std::size_t kMostRanks = 16;

}  // namespace

RankReport report_of(const core::ProgressBoard& board, std::int64_t completed,
                     core::ProgressBoard::Clock::time_point since) {
  const core::ProgressBoard::State state = board.state();
  const double seconds =
      std::chrono::duration<double>(core::ProgressBoard::Clock::now() - std::max(state.since, since)).count();
  std::string text = state.step < 0
                         ? std::string(state.part)
                         : fmt::format("step {}, micro-step {}, {}", state.step, state.micro_step, state.part);
  text += state.waits ? fmt::format("; waits for {:.1f} s in {}", seconds, core::to_text(state.awaited))
                      : fmt::format("; works for {:.1f} s", seconds);
  if (completed >= 0) {
    text += completed < state.num_collectives
                ? fmt::format("; the device is in {} of {} begun", core::to_text(board.collective(completed + 1)),
                              state.num_collectives)
                : "; the device has done all collectives";
  } else {
    text += fmt::format("; {} collectives begun", state.num_collectives);
  }
  return {state.step, completed >= 0 ? completed : state.num_collectives, text};
}

std::string describe_alarm(const std::string& cause, const std::vector<std::string>& names,
                           const std::map<int, RankReport>& reports, const std::map<int, RankReport>& last) {
  std::vector<int> ranks(names.size());
  std::iota(ranks.begin(), ranks.end(), 0);
  const auto order = [&reports](int rank) {
    const auto found = reports.find(rank);
    return found == reports.end() ? std::tuple(false, std::int64_t{0}, std::int64_t{0}, rank)
                                  : std::tuple(true, found->second.step, found->second.num_collectives, rank);
  };
  std::ranges::sort(ranks, {}, order);
  std::string text = cause;
  for (std::size_t i = 0; i < std::min(ranks.size(), kMostRanks); ++i) {
    const int rank = ranks[i];
    const auto found = reports.find(rank);
    const auto before = last.find(rank);
    text += fmt::format("\n  {}: {}", names[static_cast<std::size_t>(rank)],
                        found != reports.end() ? found->second.text
                        : before != last.end() ? "does not answer; was last in " + before->second.text
                                               : "does not answer");
  }
  if (ranks.size() > kMostRanks) {
    text += fmt::format("\n  and {} more, which got as far or farther", ranks.size() - kMostRanks);
  }
  return text;
}

}  // namespace tessera::topology

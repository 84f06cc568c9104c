#include "tessera/topology/links.hpp"

#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

namespace tessera::topology {
namespace {

const Place& place_of(const Placement& placement, int rank) {
  return placement.ranks.at(static_cast<std::size_t>(rank));
}

LinkKind kind_of(const Placement& placement, RankPair pair) {
  const Place& a = place_of(placement, pair.first);
  const Place& b = place_of(placement, pair.second);
  if (a.node != b.node) {
    return LinkKind::kBetweenNodes;
  }
  return a.numa >= 0 && a.numa == b.numa ? LinkKind::kSameNuma : LinkKind::kSameNode;
}

// The place of this rank's pair in the round; -1 where it has none.
int pair_of(const std::vector<RankPair>& round, int rank) {
  const auto own =
      std::ranges::find_if(round, [rank](RankPair pair) { return pair.first == rank || pair.second == rank; });
  return own == round.end() ? -1 : static_cast<int>(own - round.begin());
}

std::string to_text(const LinkFigures& figures) { return fmt::format("{} {}", figures.latency, figures.rate); }

LinkFigures to_figures(const std::string& text) {
  LinkFigures figures;
  std::istringstream(text) >> figures.latency >> figures.rate;
  return figures;
}

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

std::vector<Link> links_of(LinkKind kind, const std::vector<Link>& links) {
  std::vector<Link> found;
  std::ranges::copy_if(links, std::back_inserter(found), [kind](const Link& link) { return link.kind == kind; });
  return found;
}

LinkSummary summary_of(LinkKind kind, const std::vector<Link>& links) {
  std::vector<double> latencies;
  std::vector<double> rates;
  for (const Link& link : links) {
    latencies.push_back(link.figures.latency);
    rates.push_back(link.figures.rate);
  }
  const auto slowest = std::ranges::min_element(links, {}, [](const Link& link) { return link.figures.rate; });
  return {kind, links.size(), {median_of(latencies), median_of(rates)}, *slowest};
}

constexpr double kSlowRate = 0.5;   // of the median
constexpr double kSlowLatency = 3;  // medians

std::string in_words(const Link& link, const LinkSummary& like, const Placement& placement, std::string_view over) {
  const Place& a = place_of(placement, link.ranks.first);
  const Place& b = place_of(placement, link.ranks.second);
  return fmt::format(
      "slow link: {} between rank {} on {} and rank {} on {} carries {}/s with a latency of {:.1f} us; the "
      "median of {} {} links is {}/s and {:.1f} us",
      over, link.ranks.first, a.host, link.ranks.second, b.host, core::format_bytes(link.figures.rate),
      link.figures.latency * 1e6, like.count, name_of(link.kind), core::format_bytes(like.median.rate),
      like.median.latency * 1e6);
}

}  // namespace

std::string_view name_of(LinkKind kind) {
  constexpr std::array<std::string_view, 3> kNames{"same NUMA node", "same node", "between nodes"};
  return kNames.at(static_cast<std::size_t>(kind));
}

std::string_view name_of(CollectiveKind kind) {
  constexpr std::array<std::string_view, 3> kNames{"reduce-scatter", "all-gather", "all-reduce"};
  return kNames.at(static_cast<std::size_t>(kind));
}

std::vector<std::vector<RankPair>> pairs_to_measure(const Placement& placement) {
  const int num_ranks = static_cast<int>(placement.ranks.size());
  const int num_nodes = static_cast<int>(placement.nodes.size());
  std::vector<std::vector<RankPair>> rounds(4);
  for (int rank = 0; rank + 1 < num_ranks; ++rank) {
    rounds[static_cast<std::size_t>(rank % 2)].push_back({rank, rank + 1});
  }
  if (num_ranks > 2) {  // closes the ring; where their number is odd, both ends are busy in both rounds
    rounds[num_ranks % 2 == 0 ? 1 : 2].push_back({0, num_ranks - 1});
  }
  std::vector<int> leaders(static_cast<std::size_t>(num_nodes), 0);
  for (int rank = 0; rank < num_ranks; ++rank) {
    if (place_of(placement, rank).local_rank == 0) {
      leaders.at(static_cast<std::size_t>(place_of(placement, rank).node)) = rank;
    }
  }
  for (int node = 0; num_nodes > 3 && node < num_nodes / 2; ++node) {  // up to three nodes, the ring has them all
    rounds[3].push_back(
        {leaders[static_cast<std::size_t>(node)], leaders[static_cast<std::size_t>(node + num_nodes / 2)]});
  }
  std::erase_if(rounds, [](const auto& round) { return round.empty(); });
  return rounds;
}

std::vector<Link> measure_links(const Mesh& mesh, const std::function<LinkFigures(const Group& pair)>& measure) {
  std::vector<Link> links;
  for (const std::vector<RankPair>& round : pairs_to_measure(mesh.placement)) {
    const int rank = mesh.world.rank();
    const int own = pair_of(round, rank);
    const Group pair = mesh.world.split(own >= 0 ? own : static_cast<int>(round.size()) + rank);
    mesh.world.barrier();
    const std::vector<std::string> told = mesh.world.gather(own >= 0 ? to_text(measure(pair)) : "");
    for (const RankPair& ranks : round) {
      links.push_back(
          {ranks, kind_of(mesh.placement, ranks), to_figures(told.at(static_cast<std::size_t>(ranks.first)))});
    }
  }
  return links;
}

std::vector<LinkSummary> summarise(const std::vector<Link>& links) {
  std::vector<LinkSummary> summaries;
  for (const LinkKind kind : {LinkKind::kSameNuma, LinkKind::kSameNode, LinkKind::kBetweenNodes}) {
    const std::vector<Link> like = links_of(kind, links);
    if (!like.empty()) {
      summaries.push_back(summary_of(kind, like));
    }
  }
  return summaries;
}

std::vector<std::string> slow_links(const std::vector<Link>& links, const Placement& placement, std::string_view over) {
  constexpr std::size_t kMost = 8;
  std::vector<std::string> words;
  std::size_t others = 0;
  for (const LinkSummary& like : summarise(links)) {
    std::vector<Link> slow = links_of(like.kind, links);
    std::erase_if(slow, [&](const Link& link) {
      return link.figures.rate >= kSlowRate * like.median.rate &&
             link.figures.latency <= kSlowLatency * like.median.latency;
    });
    std::ranges::sort(slow, {}, [](const Link& link) { return link.figures.rate; });
    for (const Link& link : slow) {
      if (words.size() < kMost) {
        words.push_back(in_words(link, like, placement, over));
      } else {
        ++others;
      }
    }
  }
  if (others > 0) {
    words.push_back(fmt::format("{} more links over {} are as slow", others, over));
  }
  return words;
}

double ring_seconds(CollectiveKind kind, int num_ranks, double bytes, const LinkFigures& link) {
  const double once = (num_ranks - 1) * (link.latency + bytes / num_ranks / link.rate);
  return kind == CollectiveKind::kAllReduce ? 2 * once : once;
}

double one_call_ring_seconds(CollectiveKind kind, int num_ranks, double bytes, const LinkFigures& link) {
  return num_ranks > 1 ? link.latency + ring_seconds(kind, num_ranks, bytes, {0, link.rate}) : 0;
}

}  // namespace tessera::topology

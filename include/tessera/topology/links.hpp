#pragma once

#include "tessera/topology/mesh.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::topology {

/// What lies between two ranks.
enum class LinkKind : std::uint8_t {
  kSameNuma,      ///< one NUMA node
  kSameNode,      ///< one node, and different NUMA nodes or unknown ones
  kBetweenNodes,  ///< a network
};
std::string_view name_of(LinkKind kind);

struct RankPair {
  int first = 0;
  int second = 0;
};

/// The links that are measured, however many ranks there are: each rank with the next (a ring), and the first rank of
/// each node with that of the node half the cluster away. In rounds, in each of which no rank occurs twice, so that
/// all of its pairs can be measured at once: at most four.
std::vector<std::vector<RankPair>> pairs_to_measure(const Placement& placement);

struct LinkFigures {
  double latency = 0;  ///< seconds, one way
  double rate = 0;     ///< bytes/s, one way
};

struct Link {
  RankPair ranks;
  LinkKind kind = LinkKind::kSameNode;
  LinkFigures figures;
};

/// Measures pairs_to_measure(), round by round. `measure` gets the two ranks of a pair as a group and is collective
/// over that; the first rank's figures count. The same on every rank. Collective over the mesh.
std::vector<Link> measure_links(const Mesh& mesh, const std::function<LinkFigures(const Group& pair)>& measure);

/// Messages of MPI between host memories, back and forth: of 8 bytes for the latency, of `bytes` for the rate, the best
/// of several. Collective over the pair.
LinkFigures ping_pong(const Group& pair, std::size_t bytes);

/// Links of one kind.
struct LinkSummary {
  LinkKind kind = LinkKind::kSameNode;
  std::size_t count = 0;
  LinkFigures median;
  Link slowest;  ///< by its rate
};
std::vector<LinkSummary> summarise(const std::vector<Link>& links);

/// In words, what is slower than half the median of its kind, or has three times its latency; by ranks and hosts. At
/// most eight, the slowest first, and then how many more. `over` is "MPI" or "NCCL".
std::vector<std::string> slow_links(const std::vector<Link>& links, const Placement& placement, std::string_view over);

enum class CollectiveKind : std::uint8_t { kReduceScatter, kAllGather, kAllReduce };
std::string_view name_of(CollectiveKind kind);

/// Seconds of a collective over a buffer of `bytes` on `num_ranks` in a ring whose links all have these figures:
/// (n - 1) (latency + bytes / n / rate), twice that for an all-reduce (Chan et al. 2007, "Collective communication:
/// theory, practice, and experience"; Thakur et al. 2005).
double ring_seconds(CollectiveKind kind, int num_ranks, double bytes, const LinkFigures& link);
/// The same where the latency is that of a call and one call goes through the whole ring, as a kernel of NCCL does: it
/// counts once.
double one_call_ring_seconds(CollectiveKind kind, int num_ranks, double bytes, const LinkFigures& link);

}  // namespace tessera::topology

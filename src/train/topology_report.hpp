#pragma once

#include "tessera/topology/links.hpp"
#include "tessera/topology/mesh.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tessera::train {

/// Links over one library.
struct MeasuredLinks {
  std::string over;  ///< "MPI", "NCCL"
  std::vector<topology::Link> links;
};

struct MeasuredCollective {
  topology::CollectiveKind kind = topology::CollectiveKind::kReduceScatter;
  double seconds = 0;
  double expected_seconds = 0;  ///< in a ring over the slowest link measured; 0: no link was
};

/// What `tessera topology` finds out.
struct TopologyReport {
  topology::Placement placement;
  std::vector<std::pair<std::string, std::string>> versions;
  std::string collectives_name;  ///< "nccl", "mpi"; empty where nothing was measured
  std::int64_t message_bytes = 0;
  std::vector<MeasuredLinks> links;
  std::vector<MeasuredCollective> collectives;
};

/// What an admin should look at: wrong placement, slow links, NCCL's collectives that take more than twice what is
/// expected (on a CPU the sums themselves take longer than that).
std::vector<std::string> warnings_of(const TopologyReport& report);

/// For people: tables, and the warnings.
std::string to_text(const TopologyReport& report);
/// One object, for programs.
std::string to_json(const TopologyReport& report);

}  // namespace tessera::train

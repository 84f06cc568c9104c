#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::topology {

/// Logical CPUs by the system's numbers, ascending.
using Cores = std::vector<int>;

/// "0-15,32-47"; empty for none. parse_cores() is its inverse.
std::string to_ranges(const Cores& cores);
Cores parse_cores(std::string_view ranges);

/// A GPU as a rank sees it, and where it sits in the node.
struct GpuPlace {
  int index = 0;            ///< CUDA's device number in that rank's process
  std::string name;         ///< "NVIDIA H200"
  std::string uuid;         ///< the same card has the same in every process
  std::string pci;          ///< "0000:18:00.0"
  std::int64_t memory = 0;  ///< bytes
  Cores cores{};            ///< near it; empty: not known
  int numa = -1;            ///< its NUMA node; -1: not known
};

/// Where one rank runs.
struct Place {
  std::string host;
  int node = 0;        ///< nodes are counted in the order of their first ranks
  int local_rank = 0;  ///< among the ranks of its node
  Cores cores{};       ///< that it may run on
  int numa = -1;       ///< the NUMA node that has all its cores; -1: several
  std::optional<GpuPlace> gpu{};
};

struct NetworkCard {
  std::string name;  ///< "mlx5_0", "eth0"
  int numa = -1;     ///< -1: not known
};

/// What a node has, whoever uses it.
struct NodeFacts {
  std::string host;
  int num_cores = 0;
  int num_numa_nodes = 0;
  std::vector<NetworkCard> network_cards{};
  std::vector<GpuPlace> gpus{};  ///< that any of its ranks sees
};

/// Who runs where, for the whole run.
struct Placement {
  std::vector<Place> ranks;      ///< by rank
  std::vector<NodeFacts> nodes;  ///< by node
};

/// What a rank of a node can choose from.
struct GpuChoice {
  Cores cores;  ///< that the rank may run on
  std::vector<GpuPlace> gpus;
};

/// For each rank of a node the position of its GPU in its list, -1 where that is empty: one of its own where there are
/// enough, near the cores that the launcher bound it to, in CUDA's order. Ranks that see fewer choose first.
std::vector<int> choose_gpus(const std::vector<GpuChoice>& ranks);

/// How many ranks of the run have this rank's GPU, with itself; 0 where it has none.
int ranks_on_gpu_of(const Placement& placement, int rank);

/// The cores that a rank can count on: of those that it may run on, those that others may use too are divided by the
/// number of such ranks. At least 1.
int share_of_cores(const Placement& placement, int rank);

/// What is wrong with a placement, in words, each with the flag that mends it; what several nodes have alike is said
/// once. Empty where nothing is.
std::vector<std::string> placement_warnings(const Placement& placement);

/// A table of the ranks of each node, for people; nodes that are alike are shown once, and at most `most_layouts` that
/// differ are shown. Lines, without a break after the last.
std::string to_table(const Placement& placement, std::size_t most_layouts = 8);

}  // namespace tessera::topology

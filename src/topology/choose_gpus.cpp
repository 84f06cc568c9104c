#include "tessera/topology/placement.hpp"
#include "topology/core_sets.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

namespace tessera::topology {

std::vector<int> choose_gpus(const std::vector<GpuChoice>& ranks) {
  std::vector<std::size_t> order(ranks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t rank) { return std::pair(ranks[rank].gpus.size(), rank); });
  std::map<std::string, int> users;
  std::vector<int> chosen(ranks.size(), -1);
  for (const std::size_t rank : order) {
    const GpuChoice& choice = ranks[rank];
    const auto cost = [&](const GpuPlace& gpu) {
      const bool far = !gpu.cores.empty() && !overlap(choice.cores, gpu.cores);
      return std::tuple(users[gpu.uuid], far);
    };
    const auto best = std::ranges::min_element(choice.gpus, {}, cost);
    if (best != choice.gpus.end()) {
      ++users[best->uuid];
      chosen[rank] = static_cast<int>(best - choice.gpus.begin());
    }
  }
  return chosen;
}

int ranks_on_gpu_of(const Placement& placement, int rank) {
  const std::optional<GpuPlace>& mine = placement.ranks.at(static_cast<std::size_t>(rank)).gpu;
  return mine ? static_cast<int>(std::ranges::count_if(
                    placement.ranks, [&](const Place& place) { return place.gpu && place.gpu->uuid == mine->uuid; }))
              : 0;
}

int share_of_cores(const Placement& placement, int rank) {
  const Place& mine = placement.ranks.at(static_cast<std::size_t>(rank));
  std::map<int, int> users;
  for (const Place& place : placement.ranks) {
    if (place.node == mine.node) {
      for (const int core : place.cores) {
        ++users[core];
      }
    }
  }
  double share = 0;
  for (const int core : mine.cores) {
    share += 1.0 / users[core];
  }
  constexpr double kRounding = 1e-6;  // three thirds are a core
  return std::max(1, static_cast<int>(share + kRounding));
}

}  // namespace tessera::topology

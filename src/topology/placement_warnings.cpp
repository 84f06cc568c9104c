#include "tessera/core/suggest.hpp"
#include "tessera/topology/placement.hpp"
#include "topology/core_sets.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

namespace tessera::topology {
namespace {

// "1 rank", "3 ranks".
std::string count_of(std::size_t count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string list_of_ranks(const std::vector<int>& local_ranks) {
  std::vector<std::string> words;
  for (const int rank : local_ranks) {
    words.push_back(std::to_string(rank));
  }
  return (words.size() == 1 ? "local rank " : "local ranks ") + core::list_of(words, "and");
}

// One node of the run, by its ranks.
struct Node {
  const NodeFacts& facts;
  std::vector<const Place*> ranks;
};

using Words = std::vector<std::string>;

std::map<std::string, std::vector<int>> users_of_gpus(const Node& node) {
  std::map<std::string, std::vector<int>> users;
  for (const Place* place : node.ranks) {
    if (place->gpu) {
      users[place->gpu->uuid].push_back(place->local_rank);
    }
  }
  return users;
}

void check_gpu_sharing(const Node& node, Words& words) {
  const auto users = users_of_gpus(node);
  if (users.empty()) {
    return;
  }
  Words idle;
  for (const GpuPlace& gpu : node.facts.gpus) {
    if (!users.contains(gpu.uuid)) {
      idle.push_back(gpu.pci);
    }
  }
  const auto shared = std::ranges::find_if(users, [](const auto& user) { return user.second.size() > 1; });
  if (shared == users.end()) {
    if (!idle.empty()) {
      words.push_back(
          fmt::format("{} of {} idle: start {} ranks a node (srun --ntasks-per-node={}; mpirun "
                      "--map-by ppr:{}:node), or ask for fewer GPUs",
                      idle.size(), count_of(node.facts.gpus.size(), "GPU"), node.facts.gpus.size(),
                      node.facts.gpus.size(), node.facts.gpus.size()));
    }
  } else if (idle.empty()) {
    words.push_back(fmt::format(
        "{} share {}, so gradients travel through host memory, which is slow: start {} a node "
        "(srun --ntasks-per-node={}; mpirun --map-by ppr:{}:node)",
        count_of(node.ranks.size(), "rank"), count_of(users.size(), "GPU"), users.size(), users.size(), users.size()));
  } else {
    words.push_back(
        fmt::format("{} share a GPU while the one at {} idles: let every rank see all GPUs of the node (srun "
                    "--gpus-per-node=N --gpu-bind=none; one CUDA_VISIBLE_DEVICES for all), or one of its own "
                    "(srun --gpus-per-task=1)",
                    list_of_ranks(shared->second), core::list_of(idle, "and")));
  }
}

void check_gpu_distance(const Node& node, Words& words) {
  std::vector<int> far;
  const Place* example = nullptr;
  for (const Place* place : node.ranks) {
    if (place->gpu && !place->gpu->cores.empty() && !overlap(place->cores, place->gpu->cores)) {
      example = example == nullptr ? place : example;
      far.push_back(place->local_rank);
    }
  }
  if (example != nullptr) {
    words.push_back(fmt::format(
        "{} may run only on cores away from the GPU: of {} on {}, the GPU at {} is at {}; bind GPUs and cores together "
        "(srun --gpu-bind=closest), or leave cores free, and each rank is bound here (srun --cpu-bind=none; mpirun "
        "--bind-to none)",
        list_of_ranks(far), list_of_ranks({example->local_rank}), to_ranges(example->cores), example->gpu->pci,
        to_ranges(example->gpu->cores)));
  }
}

void check_cores(const Node& node, Words& words) {
  std::set<int> used;
  std::size_t fewest = SIZE_MAX;
  for (const Place* place : node.ranks) {
    used.insert(place->cores.begin(), place->cores.end());
    fewest = std::min(fewest, place->cores.size());
  }
  const auto num_cores = static_cast<std::size_t>(node.facts.num_cores);
  const std::size_t fair = num_cores / node.ranks.size();
  if (fewest == 1 && fair > 1) {
    words.push_back(
        fmt::format("the launcher bound a rank to one of {} cores, for loading images too: give each {} (mpirun "
                    "--bind-to none; srun --cpus-per-task={})",
                    num_cores, fair, fair));
  } else if (used.size() < node.ranks.size() && used.size() < num_cores) {
    words.push_back(fmt::format(
        "{} share {} of the {}: free the others (mpirun --bind-to none; srun --cpus-per-task={})",
        count_of(node.ranks.size(), "rank"), count_of(used.size(), "core"), num_cores, std::max<std::size_t>(1, fair)));
  }
}

// "4 on node1 and 3 other nodes, 2 on node7": nodes by what is counted of them.
std::string groups_of_nodes(const std::map<std::string, Words>& hosts_by_count) {
  Words groups;
  for (const auto& [count, hosts] : hosts_by_count) {
    const std::size_t others = hosts.size() - 1;
    groups.push_back(count + " on " + hosts.front() + (others == 0 ? "" : " and " + count_of(others, "other node")));
  }
  return core::list_of(groups, "and");
}

void check_equality(const std::vector<Node>& nodes, Words& words) {
  std::map<std::string, Words> by_ranks;
  std::map<std::string, Words> by_gpus;
  std::map<std::string, Words> by_model;
  for (const Node& node : nodes) {
    by_ranks[count_of(node.ranks.size(), "rank")].push_back(node.facts.host);
    if (!users_of_gpus(node).empty()) {
      by_gpus[count_of(node.facts.gpus.size(), "GPU")].push_back(node.facts.host);
      std::set<std::string> models;
      for (const GpuPlace& gpu : node.facts.gpus) {
        models.insert(gpu.name);
      }
      for (const std::string& model : models) {
        by_model[model].push_back(node.facts.host);
      }
    }
  }
  if (by_ranks.size() > 1) {
    words.push_back(
        fmt::format("nodes have unequal numbers of ranks, {}: start as many on each (srun --ntasks-per-node=N; "
                    "mpirun --map-by ppr:N:node)",
                    groups_of_nodes(by_ranks)));
  }
  if (by_gpus.size() > 1) {
    words.push_back(
        fmt::format("nodes have unequal numbers of GPUs, {}: ask for as many on each (sbatch --gpus-per-node=N)",
                    groups_of_nodes(by_gpus)));
  }
  if (by_model.size() > 1) {
    words.push_back(
        fmt::format("GPUs are of different kinds, {}, and all wait for the slowest: ask for one (sbatch "
                    "--gpus-per-node=KIND:N or --constraint)",
                    groups_of_nodes(by_model)));
  }
}

void check_shared_memory(const std::vector<Node>& nodes, Words& words) {
  std::map<std::string, int> parts;
  for (const Node& node : nodes) {
    ++parts[node.facts.host];
  }
  const auto split = std::ranges::find_if(parts, [](const auto& part) { return part.second > 1; });
  if (split != parts.end()) {
    words.push_back(
        fmt::format("ranks on {} do not share memory and count as {} nodes: containers need the host's /dev/shm and "
                    "IPC namespace (docker --ipc=host; Apptainer shares them unless --contain or --ipc)",
                    split->first, split->second));
  }
}

// Says what several nodes have alike once.
void check_nodes(const std::vector<Node>& nodes, Words& words) {
  std::vector<std::pair<std::string, Words>> hosts_of;
  for (const Node& node : nodes) {
    Words found;
    check_gpu_sharing(node, found);
    check_gpu_distance(node, found);
    check_cores(node, found);
    for (std::string& text : found) {
      auto known = std::ranges::find(hosts_of, text, &std::pair<std::string, Words>::first);
      if (known == hosts_of.end()) {
        hosts_of.emplace_back(std::move(text), Words{});
        known = std::prev(hosts_of.end());
      }
      known->second.push_back(node.facts.host);
    }
  }
  for (const auto& [text, hosts] : hosts_of) {
    const std::size_t others = hosts.size() - 1;
    words.push_back(hosts.front() + (others == 0 ? "" : " and " + count_of(others, "other node")) + ": " + text);
  }
}

}  // namespace

std::vector<std::string> placement_warnings(const Placement& placement) {
  std::vector<Node> nodes;
  for (const NodeFacts& facts : placement.nodes) {
    nodes.push_back({facts, {}});
  }
  for (const Place& place : placement.ranks) {
    nodes.at(static_cast<std::size_t>(place.node)).ranks.push_back(&place);
  }
  Words words;
  check_nodes(nodes, words);
  check_equality(nodes, words);
  check_shared_memory(nodes, words);
  return words;
}

}  // namespace tessera::topology

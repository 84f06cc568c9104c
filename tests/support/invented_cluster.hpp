#pragma once

#include "tessera/topology/placement.hpp"

#include <fmt/core.h>

namespace tessera::test {

inline topology::Cores cores_between(int first, int last) {
  topology::Cores cores;
  for (int core = first; core <= last; ++core) {
    cores.push_back(core);
  }
  return cores;
}

/// A node of two sockets with 32 cores and 4 GPUs each; every rank sees all GPUs, and is bound near its own.
struct InventedNode {
  static constexpr int kCores = 64;
  static constexpr int kGpus = 8;

  static topology::Cores near(int gpu) { return gpu < kGpus / 2 ? cores_between(0, 31) : cores_between(32, 63); }

  static topology::GpuPlace gpu(int node, int index) {
    return {index,
            "NVIDIA H100",
            fmt::format("GPU-{}-{}", node, index),
            fmt::format("0000:{:02x}:00.0", 0x18 + 16 * index),
            std::int64_t{80} << 30U,
            near(index),
            index < kGpus / 2 ? 0 : 1};
  }
};

/// `num_nodes` such nodes with a rank for each GPU, as a well-made job has them.
inline topology::Placement invented_cluster(int num_nodes) {
  topology::Placement placement;
  for (int node = 0; node < num_nodes; ++node) {
    topology::NodeFacts facts{fmt::format("node{}", node + 1), InventedNode::kCores, 2, {{"mlx5_0", 0}, {"mlx5_1", 1}}};
    for (int local = 0; local < InventedNode::kGpus; ++local) {
      facts.gpus.push_back(InventedNode::gpu(node, local));
      placement.ranks.push_back(
          {facts.host, node, local, InventedNode::near(local), local < 4 ? 0 : 1, facts.gpus.back()});
    }
    placement.nodes.push_back(std::move(facts));
  }
  return placement;
}

}  // namespace tessera::test

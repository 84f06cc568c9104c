#pragma once

#include "tessera/topology/group.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::topology {

/// A GPU that this process can see.
struct Gpu {
  int index = 0;     ///< CUDA's device number in this process
  std::string name;  ///< "NVIDIA H200"
  std::string uuid;  ///< the same card has the same in every process
  std::int64_t total_bytes = 0;
  int num_multiprocessors = 0;
};

/// The GPUs that CUDA shows this process; none where there are none or the build has no CUDA.
std::vector<Gpu> visible_gpus();

/// What the rank computes on.
struct DeviceBinding {
  bool on_gpu = false;
  Gpu gpu;                       ///< where on_gpu
  bool gpus_are_shared = false;  ///< some two ranks of the run have the same GPU (the same answer on every rank)
};

/// Who runs where. Immutable after discovery.
struct Mesh {
  Group world = Group::self();
  Group node = Group::self();  ///< the ranks of this node
  int num_nodes = 1;
  std::vector<std::string> hosts;  ///< by rank
  DeviceBinding device;
};

enum class DeviceRequest : std::uint8_t { kAuto, kGpu, kCpu };

/// Finds nodes, ranks per node and GPUs, and gives each rank its device: GPU (local rank mod visible GPUs), made
/// CUDA's current one; with kAuto the CPU where some rank sees none. Throws UserError on every rank alike where a GPU
/// was asked for and some rank has none. Collective over `world`.
Mesh discover_mesh(const Group& world, DeviceRequest request);

}  // namespace tessera::topology

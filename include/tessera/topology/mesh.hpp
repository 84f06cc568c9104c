#pragma once

#include "tessera/topology/group.hpp"
#include "tessera/topology/placement.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::topology {

/// A GPU that this process can see.
struct Gpu {
  int index = 0;     ///< CUDA's device number in this process
  std::string name;  ///< "NVIDIA H200"
  std::string uuid;  ///< the same card has the same in every process: "GPU-5c8b…", as nvidia-smi writes it
  std::string pci;   ///< "0000:18:00.0"
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
  Placement placement;             ///< the same on every rank
  DeviceBinding device;
};

enum class DeviceRequest : std::uint8_t { kAuto, kGpu, kCpu };

/// Finds nodes (ranks that share memory), cores, network cards and GPUs, and gives each rank its device, made CUDA's
/// current one: choose_gpus() of those that CUDA_VISIBLE_DEVICES and the launcher let it see; with kAuto the CPU where
/// some rank sees none. A rank on a GPU whose launcher left it more cores than those near the GPU is bound to these,
/// and prefers the memory next to them. Throws UserError on every rank alike where a GPU was asked for and some rank
/// has none. Collective over `world`.
Mesh discover_mesh(const Group& world, DeviceRequest request);

}  // namespace tessera::topology

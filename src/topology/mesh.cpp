#include "tessera/topology/mesh.hpp"

#include "tessera/core/error.hpp"
#include "tessera/topology/session.hpp"
#include "topology/gpu.hpp"

#include <algorithm>
#include <set>

namespace tessera::topology {
namespace {

int count_nodes(const Group& world, const Group& node) {
  std::int64_t leaders = node.rank() == 0 ? 1 : 0;
  world.sum(std::span(&leaders, 1));
  return static_cast<int>(leaders);
}

DeviceBinding bind_device(const Mesh& mesh, DeviceRequest request) {
  DeviceBinding binding;
  if (request == DeviceRequest::kCpu) {
    return binding;
  }
  const std::vector<Gpu> gpus = visible_gpus();
  std::int64_t ranks_without = gpus.empty() ? 1 : 0;
  mesh.world.sum(std::span(&ranks_without, 1));
  if (ranks_without > 0) {
    core::require<core::UserError>(
        request == DeviceRequest::kAuto, "topology",
        "--device cuda: {} of {} ranks see no CUDA GPU; check CUDA_VISIBLE_DEVICES and the job's --gpus, build with "
        "TESSERA_CUDA=ON, or use --device cpu",
        ranks_without, mesh.world.size());
    return binding;
  }
  binding.on_gpu = true;
  binding.gpu = gpus[static_cast<std::size_t>(mesh.node.rank()) % gpus.size()];
  make_current(binding.gpu);
  const std::vector<std::string> uuids = mesh.world.gather(binding.gpu.uuid);
  binding.gpus_are_shared = std::set<std::string>(uuids.begin(), uuids.end()).size() < uuids.size();
  return binding;
}

}  // namespace

Mesh discover_mesh(const Group& world, DeviceRequest request) {
  Mesh mesh;
  mesh.world = world;
  mesh.node = world.split_by_node();
  mesh.num_nodes = count_nodes(mesh.world, mesh.node);
  mesh.hosts = world.gather(host_name());
  mesh.device = bind_device(mesh, request);
  return mesh;
}

}  // namespace tessera::topology

#include "tessera/topology/mesh.hpp"

#include "tessera/core/error.hpp"
#include "tessera/topology/session.hpp"
#include "topology/gpu.hpp"
#include "topology/machine.hpp"
#include "topology/place_text.hpp"

#include <algorithm>
#include <set>

namespace tessera::topology {
namespace {

// The GPUs that this rank may take; none with kAuto where some rank sees none.
std::vector<Gpu> usable_gpus(const Group& world, DeviceRequest request) {
  if (request == DeviceRequest::kCpu) {
    return {};
  }
  std::vector<Gpu> gpus = visible_gpus();
  std::int64_t ranks_without = gpus.empty() ? 1 : 0;
  world.sum(std::span(&ranks_without, 1));
  core::require<core::UserError>(
      ranks_without == 0 || request == DeviceRequest::kAuto, "topology",
      "--device cuda: {} of {} ranks see no CUDA GPU; check CUDA_VISIBLE_DEVICES and the job's --gpus, build with "
      "TESSERA_CUDA=ON, or use --device cpu",
      ranks_without, world.size());
  return ranks_without == 0 ? gpus : std::vector<Gpu>{};
}

GpuChoice choice_of(const std::vector<Gpu>& gpus, const Machine& machine) {
  GpuChoice choice{machine.current_cores(), {}};
  for (const Gpu& gpu : gpus) {
    const Machine::Locality locality = machine.locality_of(gpu.pci);
    choice.gpus.push_back({gpu.index, gpu.name, gpu.uuid, gpu.pci, gpu.total_bytes, locality.cores, locality.numa});
  }
  return choice;
}

// Each GPU once, in the order in which the ranks list them.
std::vector<GpuPlace> all_gpus(const std::vector<GpuChoice>& choices) {
  std::vector<GpuPlace> gpus;
  std::set<std::string> known;
  for (const GpuChoice& choice : choices) {
    for (const GpuPlace& gpu : choice.gpus) {
      if (known.insert(gpu.uuid).second) {
        gpus.push_back(gpu);
      }
    }
  }
  return gpus;
}

// Gives the rank its GPU and, where its launcher left them open, its cores.
void bind_device(Place& place, const std::vector<Gpu>& gpus, const Machine& machine, DeviceBinding& device) {
  const auto own = std::ranges::find(gpus, place.gpu->uuid, &Gpu::uuid);
  device.on_gpu = true;
  device.gpu = *own;
  make_current(device.gpu);
  const Cores wanted = cores_to_bind(place.cores, place.gpu->cores);
  if (!wanted.empty() && machine.bind(wanted)) {
    place.cores = machine.current_cores();
  }
}

// What every rank has told: places by rank, and from the first of each node what the node has.
Placement gather_placement(const Group& world, const Place& mine, const NodeFacts& facts) {
  const std::string text = encode(mine) + (mine.local_rank == 0 ? '\n' + encode(facts) : "");
  Placement placement;
  std::vector<int> node_of_leader(static_cast<std::size_t>(world.size()), -1);
  for (const std::string& told : world.gather(text)) {
    const std::size_t end = told.find('\n');
    Place place = decode_place(std::string_view(told).substr(0, end));
    auto& node = node_of_leader.at(static_cast<std::size_t>(place.node));  // until here the world's rank of its first
    if (end != std::string::npos) {
      node = static_cast<int>(placement.nodes.size());
      placement.nodes.push_back(decode_facts(std::string_view(told).substr(end + 1)));
    }
    place.node = node;
    placement.ranks.push_back(std::move(place));
  }
  return placement;
}

int leader_of(const Group& node, int world_rank) {
  double leader = world_rank;
  node.min(std::span(&leader, 1));
  return static_cast<int>(leader);
}

bool some_gpu_is_shared(const Placement& placement) {
  std::set<std::string> uuids;
  return std::ranges::any_of(placement.ranks,
                             [&](const Place& place) { return place.gpu && !uuids.insert(place.gpu->uuid).second; });
}

}  // namespace

Mesh discover_mesh(const Group& world, DeviceRequest request) {
  Mesh mesh;
  mesh.world = world;
  mesh.node = world.split_by_node();
  const Machine machine = Machine::here();
  const std::vector<Gpu> gpus = usable_gpus(world, request);
  std::vector<GpuChoice> choices;
  for (const std::string& text : mesh.node.gather(encode(choice_of(gpus, machine)))) {
    choices.push_back(decode_choice(text));
  }
  const auto local_rank = static_cast<std::size_t>(mesh.node.rank());
  Place place{host_name(), leader_of(mesh.node, world.rank()), mesh.node.rank(), choices[local_rank].cores};
  if (const int chosen = choose_gpus(choices)[local_rank]; chosen >= 0) {
    place.gpu = choices[local_rank].gpus[static_cast<std::size_t>(chosen)];
    bind_device(place, gpus, machine, mesh.device);
  }
  place.numa = machine.numa_of(place.cores);
  const NodeFacts facts{place.host, machine.num_cores(), machine.num_numa_nodes(), machine.network_cards(),
                        all_gpus(choices)};
  mesh.placement = gather_placement(world, place, facts);
  mesh.num_nodes = static_cast<int>(mesh.placement.nodes.size());
  for (const Place& each : mesh.placement.ranks) {
    mesh.hosts.push_back(each.host);
  }
  mesh.device.gpus_are_shared = some_gpu_is_shared(mesh.placement);
  return mesh;
}

}  // namespace tessera::topology

#include "topology/machine.hpp"

#include "tessera/core/error.hpp"

#include <algorithm>
#include <array>

namespace tessera::topology {
namespace {

void destroy_bitmap(hwloc_bitmap_t bitmap) noexcept { hwloc_bitmap_free(bitmap); }
using Bitmap = core::Handle<hwloc_bitmap_t, destroy_bitmap>;

Cores to_cores(hwloc_const_bitmap_t bitmap) {
  Cores cores;
  for (int core = hwloc_bitmap_first(bitmap); core >= 0; core = hwloc_bitmap_next(bitmap, core)) {
    cores.push_back(core);
  }
  return cores;
}

Bitmap to_bitmap(const Cores& cores) {
  Bitmap bitmap(hwloc_bitmap_alloc());
  for (const int core : cores) {
    hwloc_bitmap_set(bitmap.get(), static_cast<unsigned>(core));
  }
  return bitmap;
}

void check(int status, const char* what) {
  core::require(status == 0, "topology", "{} failed: hwloc cannot read this machine's topology", what);
}

hwloc_topology_t new_topology() {
  hwloc_topology_t topology = nullptr;
  check(hwloc_topology_init(&topology), "hwloc_topology_init");
  return topology;
}

void load(hwloc_topology_t topology) {
  // Drivers of GPUs and displays are CUDA's to ask: hwloc would start them for what the PCI bus tells already.
  for (const char* component : {"cuda", "nvml", "opencl", "gl", "rsmi", "levelzero"}) {
    hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, component);
  }
  check(hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_IMPORTANT), "the choice of devices");
  // Cores that a cgroup keeps from this process too: a device's locality does not depend on who may use it.
  check(hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED), "hwloc_topology_set_flags");
  check(hwloc_topology_load(topology), "hwloc_topology_load");
}

}  // namespace

Machine Machine::here() {
  Machine machine{Topology(new_topology())};
  load(machine.topology_.get());
  return machine;
}

Machine Machine::from_xml(const std::string& xml) {
  Machine machine{Topology(new_topology())};
  check(hwloc_topology_set_xmlbuffer(machine.topology_.get(), xml.c_str(), static_cast<int>(xml.size() + 1)),
        "hwloc_topology_set_xmlbuffer");
  load(machine.topology_.get());
  return machine;
}

int Machine::num_cores() const { return hwloc_get_nbobjs_by_type(topology_.get(), HWLOC_OBJ_PU); }
int Machine::num_numa_nodes() const { return hwloc_get_nbobjs_by_type(topology_.get(), HWLOC_OBJ_NUMANODE); }

int Machine::numa_of(const Cores& cores) const {
  const Bitmap wanted = to_bitmap(cores);
  for (hwloc_obj_t node = nullptr;;) {
    node = hwloc_get_next_obj_by_type(topology_.get(), HWLOC_OBJ_NUMANODE, node);
    if (node == nullptr) {
      return -1;
    }
    if (!cores.empty() && hwloc_bitmap_isincluded(wanted.get(), node->cpuset) != 0) {
      return static_cast<int>(node->os_index);
    }
  }
}

Machine::Locality Machine::around(hwloc_obj_t device) const {
  hwloc_obj_t const parent = hwloc_get_non_io_ancestor_obj(topology_.get(), device);
  if (parent == nullptr || parent->cpuset == nullptr) {
    return {};
  }
  Cores cores = to_cores(parent->cpuset);
  const int numa = numa_of(cores);
  return {std::move(cores), numa};
}

Machine::Locality Machine::locality_of(const std::string& pci) const {
  hwloc_obj_t const device = hwloc_get_pcidev_by_busidstring(topology_.get(), pci.c_str());
  return device == nullptr ? Locality{} : around(device);
}

std::vector<NetworkCard> Machine::network_cards() const {
  std::vector<NetworkCard> cards;
  for (hwloc_obj_t device = nullptr;;) {
    device = hwloc_get_next_osdev(topology_.get(), device);
    if (device == nullptr) {
      return cards;
    }
    const hwloc_obj_osdev_type_t type = device->attr->osdev.type;
    if (type == HWLOC_OBJ_OSDEV_NETWORK || type == HWLOC_OBJ_OSDEV_OPENFABRICS) {
      cards.push_back({device->name, around(device).numa});
    }
  }
}

Cores Machine::current_cores() const {
  const Bitmap bound(hwloc_bitmap_alloc());
  if (hwloc_get_cpubind(topology_.get(), bound.get(), HWLOC_CPUBIND_THREAD) != 0) {
    return to_cores(hwloc_topology_get_topology_cpuset(topology_.get()));
  }
  return to_cores(bound.get());
}

bool Machine::bind(const Cores& cores) const {
  const Bitmap wanted = to_bitmap(cores);
  if (hwloc_set_cpubind(topology_.get(), wanted.get(), HWLOC_CPUBIND_PROCESS) != 0) {
    return false;
  }
  // Not strict: where the near memory is full the far one serves.
  return hwloc_set_membind(topology_.get(), wanted.get(), HWLOC_MEMBIND_BIND, HWLOC_MEMBIND_THREAD) == 0;
}

Cores cores_to_bind(const Cores& current, const Cores& near_gpu) {
  const bool launcher_left_all = std::ranges::includes(current, near_gpu) && current.size() > near_gpu.size();
  return launcher_left_all ? near_gpu : Cores{};
}

}  // namespace tessera::topology

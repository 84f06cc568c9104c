#pragma once

#include "tessera/core/handle.hpp"
#include "tessera/topology/placement.hpp"

#include <hwloc.h>

#include <string>
#include <vector>

namespace tessera::topology {

/// Cores, memories and devices of one machine, as hwloc finds them.
class Machine {
 public:
  /// The machine that this process runs on.
  static Machine here();
  /// One that hwloc's XML describes: an invented one, for tests. It can be asked but not bound to.
  static Machine from_xml(const std::string& xml);

  struct Locality {
    Cores cores;    ///< near the device; empty: not known
    int numa = -1;  ///< -1: not known, or several
  };

  [[nodiscard]] int num_cores() const;
  [[nodiscard]] int num_numa_nodes() const;
  /// Ethernet and InfiniBand cards.
  [[nodiscard]] std::vector<NetworkCard> network_cards() const;
  /// Of a device by its PCI address ("0000:18:00.0").
  [[nodiscard]] Locality locality_of(const std::string& pci) const;
  /// The NUMA node that has all of these cores; -1 where more than one has them.
  [[nodiscard]] int numa_of(const Cores& cores) const;

  /// The cores that the calling thread may run on. Of a described machine all.
  [[nodiscard]] Cores current_cores() const;
  /// Binds every thread of the process to these cores, and prefers the memory next to them for what the calling thread
  /// and those that it starts will allocate. False where the system refuses.
  [[nodiscard]] bool bind(const Cores& cores) const;

 private:
  static void destroy(hwloc_topology_t topology) noexcept { hwloc_topology_destroy(topology); }
  using Topology = core::Handle<hwloc_topology_t, destroy>;
  explicit Machine(Topology topology) : topology_(std::move(topology)) {}
  [[nodiscard]] Locality around(hwloc_obj_t device) const;

  Topology topology_;
};

/// The cores to which a rank without a launcher's narrower binding is bound: those near its GPU. Empty where the rank
/// is to be left as it is.
Cores cores_to_bind(const Cores& current, const Cores& near_gpu);

}  // namespace tessera::topology

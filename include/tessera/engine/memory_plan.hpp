#pragma once

#include "tessera/config/model_shape.hpp"
#include "tessera/engine/options.hpp"
#include "tessera/model/param_table.hpp"
#include "tessera/model/recompute.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::engine {

struct MemoryItem {
  std::string name;  ///< "parameters", "activations", ...
  std::int64_t bytes = 0;
  std::string what;  ///< a few words of explanation
};

/// Memory that one rank will take, by category, before any is taken. All ranks take the same.
struct MemoryPlan {
  std::vector<MemoryItem> items;       ///< of the device
  std::vector<MemoryItem> host_items;  ///< of the host besides; a CPU's run has both in the same memory
  [[nodiscard]] std::int64_t total() const;
  [[nodiscard]] std::int64_t host_total() const;
};

/// The run that is planned for.
struct PlannedRun {
  config::ModelShape shape;
  model::Geometry geometry;
  std::int64_t batch_size = 1;  ///< images per micro-step
  model::RecomputePolicy recompute{};
  int world = 1;
  EngineOptions options;
  bool snapshots = false;  ///< checkpoints are written from a copy of the rank's part of the state
  std::int64_t frozen_blocks = 0;
};

/// A pure function: needs no device and no MPI.
MemoryPlan plan_memory(const PlannedRun& run);

/// The least recomputation with which the run fits into `bytes` of device memory; where none does, all there is.
model::RecomputePolicy cheapest_recompute(const PlannedRun& run, std::int64_t bytes);

/// The least share of the optimizer's state (EngineOptions::offload) with which the run fits into `bytes` of device
/// memory; where none does, all of it. Of a run at stage 1 or 2.
double cheapest_offload(const PlannedRun& run, std::int64_t bytes);

/// A linear probe that is planned for.
struct PlannedProbe {
  config::ModelShape shape;
  model::Geometry geometry;
  std::int64_t batch_size = 1;          ///< images per micro-step
  at::ScalarType compute = at::kFloat;  ///< of the backbone
  std::int64_t cached_images = 0;       ///< whose features are kept; 0: none
  int world = 1;
  EngineOptions head;
  bool snapshots = false;
};

MemoryPlan plan_probe_memory(const PlannedProbe& probe);
double cheapest_offload(const PlannedProbe& probe, std::int64_t bytes);

}  // namespace tessera::engine

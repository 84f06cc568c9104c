#pragma once

#include "tessera/config/model_shape.hpp"
#include "tessera/engine/options.hpp"
#include "tessera/model/param_table.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::engine {

struct MemoryItem {
  std::string name;  ///< "parameters", "activations", ...
  std::int64_t bytes = 0;
  std::string what;  ///< a few words of explanation
};

/// Device memory that one rank will take, by category, before any is taken. All ranks take the same.
struct MemoryPlan {
  std::vector<MemoryItem> items;
  [[nodiscard]] std::int64_t total() const;
};

/// The run that is planned for.
struct PlannedRun {
  config::ModelShape shape;
  model::Geometry geometry;
  std::int64_t batch_size = 1;  ///< images per micro-step
  bool recompute = false;
  int world = 1;
  EngineOptions options;
};

/// A pure function: needs no device and no MPI.
MemoryPlan plan_memory(const PlannedRun& run);

}  // namespace tessera::engine

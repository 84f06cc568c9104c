#pragma once

#include "tessera/comm/collectives.hpp"
#include "tessera/config/run_config.hpp"
#include "tessera/core/log.hpp"
#include "tessera/engine/options.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/topology/mesh.hpp"
#include "tessera/topology/watchdog.hpp"
#include "train/meters.hpp"

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <memory>

namespace tessera::train {

/// What a run computes on and talks through.
struct Platform {
  topology::Mesh mesh;
  c10::Device device = c10::kCPU;
  at::ScalarType compute = at::kFloat;
  PeakRate peak;  ///< of that type on that device
  const kernels::Ops* ops = nullptr;
  std::unique_ptr<comm::Collectives> collectives;
  std::unique_ptr<topology::Watchdog> watchdog;  ///< ends before the collectives that it asks

  [[nodiscard]] int world() const { return mesh.world.size(); }
  [[nodiscard]] bool is_first() const { return mesh.world.rank() == 0; }
};

/// Finds devices, chooses collectives, says so, and begins to watch over the ranks. Collective over `world`.
Platform open_platform(const config::RuntimeConfig& config, const topology::Group& world, const core::Log& log);

/// Who runs where, on the devices that are asked for. Collective over `world`.
topology::Mesh find_mesh(const config::RuntimeConfig& config, const topology::Group& world);
/// Those that are asked for. Collective over the mesh.
std::unique_ptr<comm::Collectives> find_collectives(const config::RuntimeConfig& config, const topology::Mesh& mesh);

/// --dtype on this kind of device: auto is bf16 on a GPU and fp32 on a CPU.
at::ScalarType compute_type(config::DTypeChoice choice, bool on_gpu);

/// The engine's part of the configuration; until settle_by_memory() settles what is auto, --offload_ratio is all there
/// is, and gradients stay on the device.
engine::EngineOptions engine_options(const config::RunConfig& config, c10::Device device, at::ScalarType compute);

}  // namespace tessera::train

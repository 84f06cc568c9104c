#include "train/platform.hpp"

#include "tessera/comm/make_collectives.hpp"
#include "tessera/core/error.hpp"
#include "train/environment.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <cstdlib>
#include <string>
#include <utility>

namespace tessera::train {
namespace {

topology::DeviceRequest to_request(config::DeviceChoice choice) {
  switch (choice) {
    case config::DeviceChoice::kAuto:
      return topology::DeviceRequest::kAuto;
    case config::DeviceChoice::kCuda:
      return topology::DeviceRequest::kGpu;
    case config::DeviceChoice::kCpu:
      break;
  }
  return topology::DeviceRequest::kCpu;
}

comm::Backend to_backend(config::CollectivesChoice choice) {
  switch (choice) {
    case config::CollectivesChoice::kAuto:
      return comm::Backend::kAuto;
    case config::CollectivesChoice::kNccl:
      return comm::Backend::kNccl;
    case config::CollectivesChoice::kMpi:
      break;
  }
  return comm::Backend::kMpi;
}

// Where every rank runs, and what is wrong with that.
void tell_placement(const topology::Mesh& mesh, const core::Log& log) {
  if (mesh.world.rank() != 0) {
    return;
  }
  if (mesh.world.size() > 1) {
    log.info("{}", topology::to_table(mesh.placement));
  }
  for (const std::string& warning : topology::placement_warnings(mesh.placement)) {
    log.warn("{}", warning);
  }
}

// The libraries of CUDA and NCCL read their part when they are first used.
void make_deterministic() {
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  constexpr int kUnlessGiven = 0;
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", kUnlessGiven);  // a workspace for each stream
  setenv("NCCL_NVLS_ENABLE", "0", kUnlessGiven);               // no sums within the switch
}

std::unique_ptr<topology::Watchdog> watch_over(const Platform& platform, const config::RuntimeConfig& config) {
  const topology::DeviceBinding& binding = platform.mesh.device;
  comm::Collectives& collectives = *platform.collectives;
  topology::DeviceProbe probe;
  if (binding.on_gpu) {
    probe = {[&collectives] { return collectives.device_error(); },
             [&collectives] { return collectives.num_completed(); }, [&collectives] { collectives.abort(); }};
  }
  return std::make_unique<topology::Watchdog>(
      platform.mesh.world, topology::WatchLimits{config.heartbeat_timeout, config.collective_timeout},
      binding.on_gpu ? fmt::format("GPU {}, {}", binding.gpu.index, binding.gpu.uuid) : std::string(),
      std::move(probe));
}

}  // namespace

at::ScalarType compute_type(config::DTypeChoice choice, bool on_gpu) {
  if (choice == config::DTypeChoice::kAuto) {
    return on_gpu ? at::kBFloat16 : at::kFloat;
  }
  return choice == config::DTypeChoice::kBFloat16 ? at::kBFloat16 : at::kFloat;
}

topology::Mesh find_mesh(const config::RuntimeConfig& config, const topology::Group& world) {
  return topology::discover_mesh(world, to_request(config.device));
}

std::unique_ptr<comm::Collectives> find_collectives(const config::RuntimeConfig& config, const topology::Mesh& mesh) {
  return comm::make_collectives(mesh, to_backend(config.collectives));
}

Platform open_platform(const config::RuntimeConfig& config, const topology::Group& world, const core::Log& log) {
  Platform platform;
  if (config.deterministic) {
    make_deterministic();
  }
  require_sound_environment(world, config.device != config::DeviceChoice::kCpu);
  platform.mesh = find_mesh(config, world);
  const topology::DeviceBinding& binding = platform.mesh.device;
  if (binding.on_gpu) {
    platform.device = c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(binding.gpu.index));
    at::globalContext().lazyInitDevice(c10::kCUDA);
  }
  if (std::getenv("OMP_NUM_THREADS") == nullptr) {
    at::set_num_threads(topology::share_of_cores(platform.mesh.placement, world.rank()));
  }
  platform.compute = compute_type(config.dtype, binding.on_gpu);
  // Before anything else takes memory, of which this is no part.
  platform.peak = peak_rate(platform.device, platform.compute, binding.gpu.name);
  platform.ops = &kernels::ops_for(platform.device.type());
  platform.collectives = find_collectives(config, platform.mesh);
  log.info("{} rank{} on {} node{}; {} in {}; collectives: {}", world.size(), world.size() == 1 ? "" : "s",
           platform.mesh.num_nodes, platform.mesh.num_nodes == 1 ? "" : "s",
           binding.on_gpu
               ? binding.gpu.name
               : fmt::format("CPU, {} thread{} a rank", at::get_num_threads(), at::get_num_threads() == 1 ? "" : "s"),
           platform.compute == at::kFloat ? "fp32" : "bf16", platform.collectives->name());
  tell_placement(platform.mesh, log);
  platform.watchdog = watch_over(platform, config);
  return platform;
}

engine::EngineOptions engine_options(const config::RunConfig& config, c10::Device device, at::ScalarType compute) {
  engine::EngineOptions options;
  options.zero_stage = config.zero.stage;
  options.device = device;
  options.compute = compute;
  options.wire = compute;
  if (config.zero.communication_data_type) {
    options.wire = *config.zero.communication_data_type == core::DType::kFloat32 ? at::kFloat : at::kBFloat16;
  }
  options.bucket_elements = config.zero.reduce_bucket_size;
  options.accumulation_steps = config.data.accum_iter;
  options.overlap = config.zero.overlap_comm;
  options.reduce_at_boundary = config.zero.reduce_at_boundary;
  const bool offloads = config.zero.offload_optimizer == config::OffloadChoice::kCpu && !device.is_cpu();
  options.offload = offloads ? config.zero.offload_ratio.share.value_or(1) : 0;
  options.offload_gradients = offloads && config.zero.offload_gradients == config::GradientOffload::kCpu;
  options.clip_norm = config.optimizer.clip_grad.value_or(0);
  const config::OptimizerConfig& optimizer = config.optimizer;
  options.average_decay = optimizer.ema_decay;
  options.optimizer = {optimizer.opt,          optimizer.beta1,       optimizer.beta2,
                       optimizer.eps,          optimizer.momentum,    optimizer.trust_coefficient,
                       optimizer.weight_decay, optimizer.layer_decay, optimizer.state_dtype};
  return options;
}

}  // namespace tessera::train

#include "train/platform.hpp"

#include "tessera/comm/make_collectives.hpp"
#include "tessera/core/error.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

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

int all_cores() { return static_cast<int>(std::max(1U, std::thread::hardware_concurrency())); }

// This rank's share of the cores: all that the launcher bound it to, or an even part where it was not bound.
int cores_for_this_rank(int ranks_on_node) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const int mine = sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed) : all_cores();
  return std::max(1, mine < all_cores() ? mine : all_cores() / ranks_on_node);
}

// The libraries of CUDA and NCCL read their part when they are first used.
void make_deterministic() {
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  constexpr int kUnlessGiven = 0;
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", kUnlessGiven);  // a workspace for each stream
  setenv("NCCL_NVLS_ENABLE", "0", kUnlessGiven);               // no sums within the switch
}

}  // namespace

at::ScalarType compute_type(config::DTypeChoice choice, bool on_gpu) {
  if (choice == config::DTypeChoice::kAuto) {
    return on_gpu ? at::kBFloat16 : at::kFloat;
  }
  return choice == config::DTypeChoice::kBFloat16 ? at::kBFloat16 : at::kFloat;
}

Platform open_platform(const config::RuntimeConfig& config, const topology::Group& world, const core::Log& log) {
  Platform platform;
  if (config.deterministic) {
    make_deterministic();
  }
  platform.mesh = topology::discover_mesh(world, to_request(config.device));
  const topology::DeviceBinding& binding = platform.mesh.device;
  if (binding.on_gpu) {
    platform.device = c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(binding.gpu.index));
    at::globalContext().lazyInitDevice(c10::kCUDA);
  }
  const int cores = cores_for_this_rank(platform.mesh.node.size());
  if (std::getenv("OMP_NUM_THREADS") == nullptr) {
    at::set_num_threads(cores);
  }
  if (cores == 1 && all_cores() / platform.mesh.node.size() > 1) {
    log.warn(
        "the launcher bound each rank to one of {} cores, for loading images too; mpirun --bind-to none frees them",
        all_cores());
  }
  platform.compute = compute_type(config.dtype, binding.on_gpu);
  platform.ops = &kernels::ops_for(platform.device.type());
  platform.collectives = comm::make_collectives(platform.mesh, to_backend(config.collectives));
  log.info("{} rank{} on {} node{}; {} in {}; collectives: {}", world.size(), world.size() == 1 ? "" : "s",
           platform.mesh.num_nodes, platform.mesh.num_nodes == 1 ? "" : "s",
           binding.on_gpu
               ? binding.gpu.name
               : fmt::format("CPU, {} thread{} a rank", at::get_num_threads(), at::get_num_threads() == 1 ? "" : "s"),
           platform.compute == at::kFloat ? "fp32" : "bf16", platform.collectives->name());
  if (binding.gpus_are_shared) {
    log.warn("several ranks share a GPU: gradients travel through host memory, which is slow; for tests only");
  }
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
  options.clip_norm = config.optimizer.clip_grad.value_or(0);
  const config::OptimizerConfig& optimizer = config.optimizer;
  options.average_decay = optimizer.ema_decay;
  options.optimizer = {optimizer.opt,          optimizer.beta1,      optimizer.beta2,
                       optimizer.eps,          optimizer.momentum,   optimizer.trust_coefficient,
                       optimizer.weight_decay, optimizer.layer_decay};
  return options;
}

}  // namespace tessera::train

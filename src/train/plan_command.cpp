#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"
#include "tessera/model/flops.hpp"
#include "tessera/model/linear_probe.hpp"
#include "tessera/train/commands.hpp"
#include "train/planning.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>

namespace tessera::train {
namespace {

// Without the data at hand: what --nb_classes says, or what data sets of this kind have.
std::int64_t planned_classes(const config::DataConfig& data) {
  if (data.nb_classes > 0) {
    return data.nb_classes;
  }
  core::require<core::UserError>(data.dataset != config::DatasetKind::kImageFolder, "train",
                                 "a plan for an image folder needs --nb_classes");
  return data.dataset == config::DatasetKind::kCifar100 ? 100 : 10;
}

// All that a checkpoint holds of a parameter: the weight, and the optimizer's fp32 state.
std::int64_t checkpoint_bytes(std::int64_t num_parameters, const engine::EngineOptions& options) {
  const std::int64_t weight_and_master = options.compute == at::kFloat ? 4 : 6;
  return num_parameters * (weight_and_master + 4 * engine::num_moments(options.optimizer.kind));
}

struct Planned {
  engine::MemoryPlan memory;
  std::int64_t num_parameters = 0;
  double image_flops = 0;  // of a training step
  std::int64_t checkpoint_bytes = 0;
};

Planned plan_finetuning(const config::Command& command, int world, c10::Device device, at::ScalarType compute) {
  const config::RunConfig& config = command.run;
  engine::PlannedRun run =
      planned_run(config, planned_classes(config.data), world, engine_options(config, device, compute));
  if (command.plan.gpu_memory) {
    settle_recompute(run, config, command.plan.gpu_memory->bytes);
  }
  run.snapshots = config.output.async_save;  // also of a run whose --output_dir is not chosen yet
  const model::SplitTable tables =
      model::split_table(model::build_param_table(run.shape, run.geometry), model::num_frozen_units(run.frozen_blocks));
  const std::int64_t num_frozen = tables.before.num_elements();
  const std::int64_t num_trained = tables.rest.num_elements();
  return {
      engine::plan_memory(run), num_frozen + num_trained,
      model::training_flops_per_image(run.shape, run.geometry, run.frozen_blocks),
      num_frozen * static_cast<std::int64_t>(c10::elementSize(compute)) + checkpoint_bytes(num_trained, run.options)};
}

// Training and test images of the data sets whose size their name tells.
std::int64_t planned_images(config::DatasetKind kind) {
  core::require<core::UserError>(kind != config::DatasetKind::kImageFolder, "train",
                                 "a plan does not look into the image folders, so it does not know how many features "
                                 "--cache_features would hold: leave it out");
  return kind == config::DatasetKind::kFashionMnist ? 70'000 : 60'000;
}

Planned plan_probe(const config::Command& command, int world, c10::Device device, at::ScalarType compute) {
  const config::RunConfig& config = command.run;
  const std::int64_t num_images = config.probe.cache_features ? planned_images(config.data.dataset) : 0;
  engine::PlannedProbe probe =
      planned_probe(config, {planned_classes(config.data), num_images, world, device, compute});
  probe.snapshots = config.output.async_save;
  const std::int64_t num_trained =
      model::build_probe_table(config.model.shape.hidden_size, probe.geometry.num_classes).num_elements();
  const model::ParamTable backbone = model::backbone_part(model::build_param_table(probe.shape, probe.geometry));
  return {engine::plan_probe_memory(probe), backbone.num_elements() + num_trained,
          model::forward_flops_per_image(probe.shape, probe.geometry), checkpoint_bytes(num_trained, probe.head)};
}

}  // namespace

void print_plan(const config::Command& command) {
  config::Command settled = command;
  config::RunConfig& config = settled.run;
  const int world = command.plan.world_size.value_or(1);
  config::validate_world(config, world);
  const bool on_gpu = config.runtime.device != config::DeviceChoice::kCpu;
  const c10::Device device = on_gpu ? c10::kCUDA : c10::kCPU;
  const at::ScalarType compute = compute_type(config.runtime.dtype, on_gpu);
  const Planned planned = (command.plan.linprobe ? plan_probe : plan_finetuning)(settled, world, device, compute);
  const auto& [plan, num_parameters, image_flops, on_disk] = planned;
  const double step_flops = image_flops * static_cast<double>(config.data.batch_size * config.data.accum_iter);

  if (command.json) {
    nlohmann::ordered_json json = {{"n_parameters", num_parameters},
                                   {"world_size", world},
                                   {"zero_stage", config.zero.stage},
                                   {"dtype", compute == at::kFloat ? "fp32" : "bf16"},
                                   {"effective_batch", config.effective_batch(world)},
                                   {"bytes", nlohmann::ordered_json::object()},
                                   {"total_bytes", plan.total()},
                                   {"host_bytes", plan.host_total()},
                                   {"step_flops_per_rank", step_flops},
                                   {"checkpoint_bytes", on_disk}};
    for (const engine::MemoryItem& item : plan.items) {
      json["bytes"][item.name] = item.bytes;
    }
    if (command.plan.gpu_memory) {
      json["fits"] = plan.total() <= command.plan.gpu_memory->bytes;
    }
    std::puts(json.dump(2).c_str());
    return;
  }
  fmt::print("{} parameters; ZeRO stage {}, {} rank{}, {}; {} images a step\n", core::format_count(num_parameters),
             config.zero.stage, world, world == 1 ? "" : "s", compute == at::kFloat ? "fp32" : "bf16",
             config.effective_batch(world));
  fmt::print("{}\n", to_table(plan));
  if (command.plan.gpu_memory) {
    const auto memory = static_cast<double>(command.plan.gpu_memory->bytes);
    const bool fits = plan.total() <= command.plan.gpu_memory->bytes;
    fmt::print("  {:<16}{:>12}  {}\n", "GPU memory", core::format_bytes(memory), fits ? "fits" : "does not fit");
  }
  fmt::print("  {:.3g} TFLOP a step and rank ({:.3g} an image); {} a checkpoint\n", step_flops / 1e12,
             image_flops / 1e12, core::format_bytes(static_cast<double>(on_disk)));
}

}  // namespace tessera::train

#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"
#include "tessera/engine/shard_layout.hpp"
#include "tessera/model/flops.hpp"
#include "tessera/model/linear_probe.hpp"
#include "tessera/train/commands.hpp"
#include "train/plan_answers.hpp"
#include "train/plan_scaling.hpp"
#include "train/planning.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <optional>

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

// All that a checkpoint holds of the parameters: the weights, and the optimizer's state.
std::int64_t checkpoint_bytes(std::int64_t num_parameters, const engine::EngineOptions& options) {
  const std::int64_t weight_and_master = options.compute == at::kFloat ? 4 : 6;
  return num_parameters * weight_and_master + options.stored_state_bytes(num_parameters);
}

struct Planned {
  engine::MemoryPlan memory;
  std::int64_t num_parameters = 0;
  double image_flops = 0;  // of a training step
  std::int64_t checkpoint_bytes = 0;
  std::optional<PlanAnswers> answers;  // of a fine-tuning, where the GPU's memory is known
  Scaling scaling;                     // of a fine-tuning, where the GPU's rate is known
  double offload = 0;                  // the share of the optimizer's state that is the host's
};

// What the ranks of a fine-tuning tell each other in a step, and how long one takes alone at the rate that is known.
Scaling scaling_of(const config::Command& command, const engine::PlannedRun& run, const model::ParamTable& trained) {
  if (command.plan.tflops <= 0) {
    return {};
  }
  const config::RunConfig& config = command.run;
  const auto images = static_cast<double>(config.data.batch_size);
  const auto accumulated = static_cast<double>(config.data.accum_iter);
  const auto parameters = static_cast<double>(trained.num_elements());
  const double flops = images * model::training_flops_per_image(run.shape, run.geometry, run.frozen_blocks);
  engine::StepOnOneGpu step;
  step.seconds = flops / (command.plan.tflops * 1e12);
  step.micro_steps = config.data.accum_iter;
  step.gradient_bytes = parameters * static_cast<double>(c10::elementSize(run.options.wire));
  step.parameter_bytes = parameters * static_cast<double>(c10::elementSize(run.options.compute));
  step.num_buckets =
      static_cast<std::int64_t>(engine::make_shard_layout(trained, 1, run.options.bucket_elements).buckets.size());
  step.zero_stage = config.zero.stage;
  step.reduce_at_boundary = config.zero.reduce_at_boundary;
  step.overlap = config.zero.overlap_comm;
  return predict_scaling(command.plan, step, images * accumulated * static_cast<double>(run.geometry.num_tokens()));
}

Planned plan_finetuning(const config::Command& command, int world, c10::Device device, at::ScalarType compute) {
  const config::RunConfig& config = command.run;
  engine::PlannedRun run =
      planned_run(config, planned_classes(config.data), world, engine_options(config, device, compute));
  if (command.plan.gpu_memory) {
    settle_by_memory(run, config, command.plan.gpu_memory->bytes);
  }
  run.snapshots = config.output.async_save;  // also of a run whose --output_dir is not chosen yet
  const model::SplitTable tables =
      model::split_table(model::build_param_table(run.shape, run.geometry), model::num_frozen_units(run.frozen_blocks));
  const std::int64_t num_frozen = tables.before.num_elements();
  const std::int64_t num_trained = tables.rest.num_elements();
  std::optional<PlanAnswers> answers;
  if (command.plan.gpu_memory) {
    answers =
        answers_to({config, planned_classes(config.data), world, device, compute, command.plan.gpu_memory->bytes});
  }
  return {
      engine::plan_memory(run),
      num_frozen + num_trained,
      model::training_flops_per_image(run.shape, run.geometry, run.frozen_blocks),
      num_frozen * static_cast<std::int64_t>(c10::elementSize(compute)) + checkpoint_bytes(num_trained, run.options),
      answers,
      scaling_of(command, run, tables.rest),
      run.options.offload};
}

// Seconds of training for one epoch, from the operations alone; nothing where rate or number of images are not known.
std::optional<double> epoch_seconds(const config::Command& command, int world, double image_flops) {
  const config::DatasetKind kind = command.run.data.dataset;
  if (command.plan.tflops <= 0 || kind == config::DatasetKind::kImageFolder) {
    return std::nullopt;
  }
  const double images = kind == config::DatasetKind::kFashionMnist ? 60'000 : 50'000;
  return images * image_flops / (command.plan.tflops * 1e12 * world);
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
  if (command.plan.gpu_memory) {
    settle_by_memory(probe, config, command.plan.gpu_memory->bytes);
  }
  const std::int64_t num_trained =
      model::build_probe_table(config.model.shape.hidden_size, probe.geometry.num_classes).num_elements();
  const model::ParamTable backbone = model::backbone_part(model::build_param_table(probe.shape, probe.geometry));
  return {engine::plan_probe_memory(probe),
          backbone.num_elements() + num_trained,
          model::forward_flops_per_image(probe.shape, probe.geometry),
          checkpoint_bytes(num_trained, probe.head),
          std::nullopt,
          {},
          probe.head.offload};
}

// What is planned, and for what.
struct Subject {
  const config::Command& command;
  int world = 1;
  at::ScalarType compute = at::kFloat;
  double step_flops = 0;                // of a rank
  std::optional<double> epoch_seconds;  // of training alone
};

nlohmann::ordered_json to_json(const Planned& planned, const Subject& subject) {
  const config::RunConfig& config = subject.command.run;
  nlohmann::ordered_json json = {{"n_parameters", planned.num_parameters},
                                 {"world_size", subject.world},
                                 {"zero_stage", config.zero.stage},
                                 {"dtype", subject.compute == at::kFloat ? "fp32" : "bf16"},
                                 {"effective_batch", config.effective_batch(subject.world)},
                                 {"bytes", nlohmann::ordered_json::object()},
                                 {"total_bytes", planned.memory.total()},
                                 {"host_bytes", planned.memory.host_total()},
                                 {"offload_ratio", planned.offload},
                                 {"step_flops_per_rank", subject.step_flops},
                                 {"checkpoint_bytes", planned.checkpoint_bytes}};
  for (const engine::MemoryItem& item : planned.memory.items) {
    json["bytes"][item.name] = item.bytes;
  }
  if (subject.command.plan.gpu_memory) {
    json["fits"] = planned.memory.total() <= subject.command.plan.gpu_memory->bytes;
  }
  if (planned.answers) {
    json["largest_batch"] = planned.answers->largest_batch;
    json["least_ranks"] = planned.answers->least_ranks;
    json["bytes_by_checkpointing"] = {{"none", planned.answers->bytes_by_checkpointing[0]},
                                      {"feed_forward", planned.answers->bytes_by_checkpointing[1]},
                                      {"block", planned.answers->bytes_by_checkpointing[2]}};
    json["offloaded"] = {{"total_bytes", planned.answers->offloaded_bytes},
                         {"host_bytes", planned.answers->offloaded_host_bytes}};
  }
  if (subject.epoch_seconds) {
    json["epoch_seconds"] = *subject.epoch_seconds;
  }
  for (const ScalingRow& row : planned.scaling.rows) {
    json["scaling"].push_back({{"world_size", row.world},
                               {"step_seconds", row.step.seconds},
                               {"reduction_seconds", row.step.reduction},
                               {"gather_seconds", row.step.gather},
                               {"exposed_seconds", row.step.exposed},
                               {"efficiency", row.step.efficiency},
                               {"tokens_per_s", row.tokens_per_second}});
  }
  return json;
}

void print_table(const Planned& planned, const Subject& subject) {
  const config::RunConfig& config = subject.command.run;
  const config::PlanConfig& asked = subject.command.plan;
  fmt::print("{} parameters; ZeRO stage {}, {} rank{}, {}; {} images a step\n",
             core::format_count(planned.num_parameters), config.zero.stage, subject.world,
             subject.world == 1 ? "" : "s", subject.compute == at::kFloat ? "fp32" : "bf16",
             config.effective_batch(subject.world));
  fmt::print("{}\n", to_table(planned.memory));
  if (asked.gpu_memory) {
    const auto memory = static_cast<double>(asked.gpu_memory->bytes);
    const bool fits = planned.memory.total() <= asked.gpu_memory->bytes;
    fmt::print("  {:<16}{:>12}  {}\n", "GPU memory", core::format_bytes(memory), fits ? "fits" : "does not fit");
  }
  if (config.zero.offload_optimizer == config::OffloadChoice::kCpu && !config.zero.offload_ratio.share) {
    fmt::print("  {:<16}{:>12.4g}  of the optimizer's state, as --offload_ratio auto takes it\n", "offloaded",
               planned.offload);
  }
  if (planned.answers) {
    fmt::print("{}\n", to_text(*planned.answers, asked.gpu_memory->bytes));
  }
  fmt::print("  {:.3g} TFLOP a step and rank ({:.3g} an image); {} a checkpoint\n", subject.step_flops / 1e12,
             planned.image_flops / 1e12, core::format_bytes(static_cast<double>(planned.checkpoint_bytes)));
  if (subject.epoch_seconds) {
    fmt::print("  an epoch of training takes {} at {:g} TFLOP/s a rank\n",
               core::format_duration(*subject.epoch_seconds), asked.tflops);
  }
  if (!planned.scaling.rows.empty()) {
    fmt::print("{}\n", to_text(planned.scaling));
  }
}

}  // namespace

void print_plan(const config::Command& command) {
  config::Command settled = command;
  const config::RunConfig& config = settled.run;
  const int world = command.plan.world_size.value_or(1);
  config::validate_world(settled.run, world);
  const bool on_gpu = config.runtime.device != config::DeviceChoice::kCpu;
  const c10::Device device = on_gpu ? c10::kCUDA : c10::kCPU;
  const at::ScalarType compute = compute_type(config.runtime.dtype, on_gpu);
  const Planned planned = (command.plan.linprobe ? plan_probe : plan_finetuning)(settled, world, device, compute);
  const Subject subject{settled, world, compute,
                        planned.image_flops * static_cast<double>(config.data.batch_size * config.data.accum_iter),
                        epoch_seconds(command, world, planned.image_flops)};
  if (command.json) {
    std::puts(to_json(planned, subject).dump(2).c_str());
  } else {
    print_table(planned, subject);
  }
}

}  // namespace tessera::train

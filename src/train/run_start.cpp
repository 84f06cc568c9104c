#include "train/run_start.hpp"

#include "tessera/core/error.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tessera::train {
namespace {

template <class T>
void compare(std::string& differences, const char* what, const T& then, const T& now) {
  if (then != now) {
    differences += fmt::format("\n  {}: {} in the checkpoint, {} now", what, then, now);
  }
}

// What the user can do where `batch` images do not divide among the ranks: the greatest --batch_size up to `wanted`
// that does, or else another number of ranks.
std::string ways_to_divide(std::int64_t batch, int world, std::int64_t wanted) {
  if (batch % world != 0) {
    return fmt::format("take a number of ranks that divides {}", batch);
  }
  std::int64_t fitting = std::min(wanted, batch / world);
  while (batch % (fitting * world) != 0) {
    --fitting;
  }
  return fmt::format("give --batch_size {}, or take another number of ranks", fitting);
}

}  // namespace

config::RunConfig with_saved_batch(const config::RunConfig& config, const std::string& checkpoint,
                                   const state::RunState& stored, int world, const core::Log& log) {
  config::RunConfig adapted = config;
  if (stored.world_size == world || stored.world_size == 0 || stored.effective_batch == config.effective_batch(world)) {
    return adapted;
  }
  const std::int64_t together = config.data.batch_size * world;
  core::require<core::UserError>(
      stored.effective_batch % together == 0, "train",
      "{} has {} images per optimizer step, on {} ranks; {} ranks with --batch_size {} take {} at a time, and no "
      "--accum_iter makes the one of the other: {}",
      checkpoint, stored.effective_batch, stored.world_size, world, config.data.batch_size, together,
      ways_to_divide(stored.effective_batch, world, config.data.batch_size));
  adapted.data.accum_iter = stored.effective_batch / together;
  log.info("{} ranks now, {} when {} was saved: --accum_iter {} in place of {} keeps its {} images per optimizer step",
           world, stored.world_size, checkpoint, adapted.data.accum_iter, config.data.accum_iter,
           stored.effective_batch);
  return adapted;
}

state::RunState start_state(const config::RunConfig& config, const RunFacts& facts) {
  const std::int64_t batch = config.effective_batch(facts.world);
  const std::int64_t steps_per_epoch = facts.dataset_size / batch;
  core::require<core::UserError>(
      steps_per_epoch > 0, "train",
      "the data set has {} images, fewer than one step of {} (--batch_size {} x --accum_iter {} x {} ranks); lower one",
      facts.dataset_size, batch, config.data.batch_size, config.data.accum_iter, facts.world);
  state::RunState run;
  run.seed = config.runtime.seed;
  run.effective_batch = batch;
  run.dataset_size = facts.dataset_size;
  run.steps_per_epoch = steps_per_epoch;
  run.total_steps = steps_per_epoch * config.optimizer.epochs;
  run.warmup_steps = config.optimizer.warmup_steps.value_or(
      std::llround(config.optimizer.warmup_epochs * static_cast<double>(steps_per_epoch)));
  core::require<core::UserError>(run.warmup_steps < run.total_steps, "train",
                                 "--warmup_steps {} must be shorter than the run of {} steps", run.warmup_steps,
                                 run.total_steps);
  run.peak_lr = config.peak_lr(facts.world);
  run.min_lr = config.optimizer.min_lr;
  run.optimizer = config::name_of(config.optimizer.opt);
  run.optimizer_state_dtype = config::name_of(config.optimizer.state_dtype);
  run.world_size = facts.world;
  run.zero_stage = config.zero.stage;
  run.num_classes = facts.num_classes;
  run.dataset = config::name_of(config.data.dataset);
  run.input_size = config.data.input_size;
  run.patch_size = config.data.patch_size;
  run.pooling = config::name_of(config.model.pooling());
  run.freeze_blocks = config.model.freeze_blocks;
  run.ema_decay = config.optimizer.ema_decay;
  run.model_config_json = config::to_hugging_face_json(config.model.shape);
  return run;
}

state::RunState resumed_state(const std::string& checkpoint, state::RunState stored, const state::RunState& fresh,
                              const core::Log& log) {
  state::RunState run = std::move(stored);
  const auto kind_of = [](const state::RunState& of) { return of.backbone.empty() ? "fine-tuning" : "linear probe"; };
  std::string fatal;
  compare(fatal, "kind of run", std::string(kind_of(run)), std::string(kind_of(fresh)));
  compare(fatal, "data set", run.dataset, fresh.dataset);
  compare(fatal, "images in it", run.dataset_size, fresh.dataset_size);
  compare(fatal, "classes", run.num_classes, fresh.num_classes);
  compare(fatal, "--seed", run.seed, fresh.seed);
  compare(fatal, "--input_size", run.input_size, fresh.input_size);
  compare(fatal, "--patch_size", run.patch_size, fresh.patch_size);
  compare(fatal, "what the head reads (--global_pool, --cls_token)", run.pooling, fresh.pooling);
  compare(fatal, "--opt", run.optimizer, fresh.optimizer);
  compare(fatal, "--freeze_blocks", run.freeze_blocks, fresh.freeze_blocks);
  const auto averages_of = [](const state::RunState& of) { return of.ema_decay > 0 ? "kept" : "not kept"; };
  compare(fatal, "moving averages (--ema_decay)", std::string(averages_of(run)), std::string(averages_of(fresh)));
  compare(fatal, "images per step (--batch_size x --accum_iter x ranks)", run.effective_batch, fresh.effective_batch);
  core::require<core::UserError>(fatal.empty(), "train", "{} cannot be gone on with:{}\n  give what it was begun with",
                                 checkpoint, fatal);
  std::string changed;
  compare(changed, "steps of the schedule", run.total_steps, fresh.total_steps);
  compare(changed, "warm-up steps", run.warmup_steps, fresh.warmup_steps);
  compare(changed, "peak learning rate", run.peak_lr, fresh.peak_lr);
  compare(changed, "least learning rate", run.min_lr, fresh.min_lr);
  compare(changed, "--ema_decay", run.ema_decay, fresh.ema_decay);
  compare(changed, "--optimizer_state_dtype (moments are converted)", run.optimizer_state_dtype,
          fresh.optimizer_state_dtype);
  compare(changed, "ranks", run.world_size, fresh.world_size);
  compare(changed, "ZeRO stage", run.zero_stage, fresh.zero_stage);
  log.info("resumed from {}: epoch {}, step {}{}", checkpoint, run.epoch, run.global_step, changed);
  run.total_steps = fresh.total_steps;
  run.warmup_steps = fresh.warmup_steps;
  run.peak_lr = fresh.peak_lr;
  run.min_lr = fresh.min_lr;
  run.ema_decay = fresh.ema_decay;
  run.optimizer_state_dtype = fresh.optimizer_state_dtype;
  run.world_size = fresh.world_size;
  run.zero_stage = fresh.zero_stage;
  run.model_config_json = fresh.model_config_json;
  run.backbone = fresh.backbone;
  return run;
}

}  // namespace tessera::train

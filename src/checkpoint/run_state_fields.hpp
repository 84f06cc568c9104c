#pragma once

#include "tessera/state/run_state.hpp"

#include <array>
#include <string_view>

namespace tessera::checkpoint {

/// Fields that came after version 1. Where a file lacks one, RunState's default is what older programs did.
constexpr std::array<std::string_view, 8> kNewFields{"epoch_skipped_steps",
                                                     "optimizer",
                                                     "optimizer_state_dtype",
                                                     "freeze_blocks",
                                                     "backbone",
                                                     "backbone_crc32c",
                                                     "pooling",
                                                     "ema_decay"};

/// Calls visit(name, field) for every field of RunState: the one list from which JSON and HDF5 attributes are made.
/// State is RunState or const RunState.
template <class State, class Visitor>
void visit_run_state(State& run, Visitor&& visit) {
  visit("epoch", run.epoch);
  visit("step_in_epoch", run.step_in_epoch);
  visit("global_step", run.global_step);
  visit("optimizer", run.optimizer);
  visit("optimizer_state_dtype", run.optimizer_state_dtype);
  visit("optimizer_step", run.optimizer_step);
  visit("skipped_steps", run.skipped_steps);
  visit("epoch_loss_sum", run.epoch_loss_sum);
  visit("epoch_accuracy_sum", run.epoch_accuracy_sum);
  visit("epoch_lr_sum", run.epoch_lr_sum);
  visit("epoch_seconds", run.epoch_seconds);
  visit("epoch_skipped_steps", run.epoch_skipped_steps);
  visit("seed", run.seed);
  visit("effective_batch", run.effective_batch);
  visit("dataset_size", run.dataset_size);
  visit("steps_per_epoch", run.steps_per_epoch);
  visit("total_steps", run.total_steps);
  visit("warmup_steps", run.warmup_steps);
  visit("peak_lr", run.peak_lr);
  visit("min_lr", run.min_lr);
  visit("best_accuracy", run.best_accuracy);
  visit("world_size", run.world_size);
  visit("zero_stage", run.zero_stage);
  visit("num_classes", run.num_classes);
  visit("dataset", run.dataset);
  visit("input_size", run.input_size);
  visit("patch_size", run.patch_size);
  visit("pooling", run.pooling);
  visit("model_config_json", run.model_config_json);
  visit("freeze_blocks", run.freeze_blocks);
  visit("ema_decay", run.ema_decay);
  visit("backbone", run.backbone);
  visit("backbone_crc32c", run.backbone_crc32c);
}

}  // namespace tessera::checkpoint

#pragma once

#include <cstdint>
#include <string>

namespace tessera::state {

/// Where a run stands besides its tensors. With counter-based sampling these few numbers are the whole of the loader's
/// and the random generators' state.
struct RunState {
  std::int64_t epoch = 0;                      ///< epoch in progress (the next one, where step_in_epoch is 0)
  std::int64_t step_in_epoch = 0;              ///< optimizer steps done in it
  std::int64_t global_step = 0;                ///< optimizer steps done, skipped ones too
  std::string optimizer = "adamw";             ///< as on the command line
  std::string optimizer_state_dtype = "fp32";  ///< of the moments, as on the command line
  std::int64_t optimizer_step = 0;             ///< updates applied: AdamW's bias correction counts these
  std::int64_t skipped_steps = 0;
  /// Sums over the steps done in the epoch in progress, from which log.txt's means are taken. A step that was skipped
  /// may have a loss that is no number: loss and accuracy are of the others.
  double epoch_loss_sum = 0;
  double epoch_accuracy_sum = 0;  ///< percent
  double epoch_lr_sum = 0;
  double epoch_seconds = 0;              ///< of training
  std::int64_t epoch_skipped_steps = 0;  ///< of these steps
  std::uint64_t seed = 0;
  std::int64_t effective_batch = 0;
  std::int64_t dataset_size = 0;
  std::int64_t steps_per_epoch = 0;
  std::int64_t total_steps = 0;  ///< of the learning-rate schedule
  std::int64_t warmup_steps = 0;
  double peak_lr = 0;
  double min_lr = 0;
  double best_accuracy = 0;  ///< percent
  int world_size = 0;        ///< a note; readers do not depend on it
  int zero_stage = 0;        ///< a note
  std::int64_t num_classes = 0;
  std::string dataset;
  std::int64_t input_size = 0;
  std::int64_t patch_size = 0;
  std::string pooling = "last";    ///< what the head reads: "last", "mean" or "cls_token"
  std::string model_config_json;   ///< the backbone's Hugging Face config.json
  std::int64_t freeze_blocks = 0;  ///< as on the command line
  double ema_decay = 0;            ///< of the moving averages; 0: there are none
  std::string backbone;  ///< of a linear probe: the path of the weights that were frozen, or "random"; empty: none were
  std::string backbone_crc32c;  ///< of a linear probe: of the first elements of each of these weights
};

}  // namespace tessera::state

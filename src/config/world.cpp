#include "config/problems.hpp"
#include "config/validation.hpp"
#include "tessera/config/command_line.hpp"
#include "tessera/core/error.hpp"

namespace tessera::config {
namespace {

constexpr double kMostImages = 1e12;  // far below what 64 bits hold

/// Works out `open` from total = open x known x ranks.
void derive(std::int64_t& open, std::string_view name, const DataConfig& data, std::int64_t known_by_ranks,
            Problems& problems) {
  const std::int64_t total = *data.train_batch_size;
  if (total % known_by_ranks != 0) {
    problems.add("train_batch_size {} leaves no whole {}: it does not divide by {}", total, name, known_by_ranks);
    return;
  }
  open = total / known_by_ranks;
}

void settle_batch(DataConfig& data, int world_size, Problems& problems) {
  if (!data.train_batch_size) {
    return;
  }
  if (data.derive_batch_size) {
    derive(data.batch_size, "train_micro_batch_size_per_gpu", data, data.accum_iter * world_size, problems);
  } else if (data.derive_accum_iter) {
    derive(data.accum_iter, "gradient_accumulation_steps", data, data.batch_size * world_size, problems);
  } else if (*data.train_batch_size != data.batch_size * data.accum_iter * world_size) {
    problems.add(
        "train_batch_size is {}, but {} images per micro-step x {} micro-steps x {} ranks are {}: correct one, or "
        "write \"auto\" for it",
        *data.train_batch_size, data.batch_size, data.accum_iter, world_size,
        data.batch_size * data.accum_iter * world_size);
  }
  data.derive_batch_size = false;
  data.derive_accum_iter = false;
}

}  // namespace

void validate_world(RunConfig& config, int world_size) {
  core::require<core::UserError>(world_size > 0, "config", "the number of ranks must be above 0, not {}", world_size);
  Problems problems;
  const double images = static_cast<double>(config.data.batch_size) * static_cast<double>(config.data.accum_iter) *
                        static_cast<double>(world_size);
  if (images > kMostImages) {
    problems.add("{} images per optimizer step are beyond reason: look at --batch_size and --accum_iter", images);
  } else {
    const bool was_open = config.data.derive_batch_size;
    settle_batch(config.data, world_size, problems);
    if (was_open) {
      check_pairs(config, problems);
    }
  }
  if (problems.empty() && config.optimizer.min_lr > config.peak_lr(world_size)) {
    problems.add("--min_lr {} is above the peak learning rate {} ({})", config.optimizer.min_lr,
                 config.peak_lr(world_size),
                 config.optimizer.lr ? std::string("--lr")
                                     : fmt::format("--blr {} x {} images per step / 256", config.optimizer.blr,
                                                   config.effective_batch(world_size)));
  }
  problems.raise(fmt::format("the settings do not fit {} ranks", world_size));
}

void fill_from_checkpoint(Command& command, const RecordedRun& recorded) {
  const bool is_eval = command.verb == Verb::kEval;
  RunConfig& run = command.run;
  const std::string& checkpoint = is_eval ? command.eval.checkpoint : run.probe.finetune_checkpoint;
  Problems problems;
  const auto fill = [&](bool& open, bool has, std::string_view flag, const auto& take) {
    if (open && !has) {
      problems.add("the checkpoint {} does not say --{}: give it", checkpoint, flag);
    } else if (open) {
      take();
      open = false;
    }
  };
  fill(command.open.shape, !recorded.model_config_json.empty(), "model_config",
       [&] { run.model.shape = parse_model_config(recorded.model_config_json, "the model in " + checkpoint); });
  fill(command.open.dataset, !recorded.dataset.empty(), "dataset",
       [&] { run.data.dataset = dataset_from_name(recorded.dataset); });
  fill(command.open.input_size, recorded.input_size > 0, "input_size",
       [&] { run.data.input_size = recorded.input_size; });
  fill(command.open.patch_size, recorded.patch_size > 0, "patch_size",
       [&] { run.data.patch_size = recorded.patch_size; });
  if (recorded.patch_size > 0 && run.data.patch_size != recorded.patch_size) {
    problems.add("--patch_size {} is not the {} that the checkpoint {} was trained with", run.data.patch_size,
                 recorded.patch_size, checkpoint);
  }
  if (recorded.pooling) {
    const Pooling given = run.model.pooling();
    if (given == Pooling::kLastToken) {
      run.model.set_pooling(*recorded.pooling);
    } else if (is_eval && given != *recorded.pooling) {
      problems.add("--{} is not what the head of {} was trained to read ({}): leave it out",
                   given == Pooling::kMean ? "global_pool" : "cls_token", checkpoint, name_of(*recorded.pooling));
    }
  }
  if (problems.empty()) {
    check_geometry(run, problems);
  }
  problems.raise(is_eval ? "tessera eval" : "tessera linprobe");
}

}  // namespace tessera::config

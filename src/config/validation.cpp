#include "config/validation.hpp"

#include "tessera/core/error.hpp"
#include "tessera/core/suggest.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

namespace tessera::config {
namespace {

namespace fs = std::filesystem;

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool is_directory(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::string_view wanted(Range range) {
  switch (range) {
    case Range::kAny:
      return "anything";
    case Range::kPositive:
      return "above 0";
    case Range::kNonNegative:
      return "0 or above";
    case Range::kBelowOne:
      return "from 0 to below 1";
    case Range::kUpToOne:
      return "above 0 and at most 1";
    case Range::kShare:
      return "from 0 to 1";
  }
  return "?";
}

bool in_range(Range range, double value) {
  switch (range) {
    case Range::kAny:
      return true;
    case Range::kPositive:
      return value > 0;
    case Range::kNonNegative:
      return value >= 0;
    case Range::kBelowOne:
      return value >= 0 && value < 1;
    case Range::kUpToOne:
      return value > 0 && value <= 1;
    case Range::kShare:
      return value >= 0 && value <= 1;
  }
  return false;
}

void check_schedule(const Checked& checked) {
  OptimizerConfig& optimizer = checked.command.run.optimizer;
  if (optimizer.clip_grad == 0.0) {
    optimizer.clip_grad.reset();
  }
  if (checked.given("warmup_steps") && checked.given("warmup_epochs")) {
    checked.problems.add("--warmup_steps and --warmup_epochs both say how long the warm-up is: give one");
  } else if (!optimizer.warmup_steps && optimizer.epochs > 0 &&
             optimizer.warmup_epochs >= static_cast<double>(optimizer.epochs)) {
    checked.problems.add("--warmup_epochs {} must be shorter than --epochs {}{}", optimizer.warmup_epochs,
                         optimizer.epochs,
                         checked.given("warmup_epochs") ? "" : "; the default warm-up is too long for this run");
  }
  if (checked.given("lr") && checked.given("blr")) {
    checked.problems.add("{} and {} are both given, and the second would have no effect: leave one out",
                         checked.called("lr"), checked.called("blr"));
  }
}

void check_optimizer(const Checked& checked) {
  const OptimizerKind kind = checked.command.run.optimizer.opt;
  for (const std::string_view name : {"momentum", "trust_coefficient", "beta1", "beta2", "eps"}) {
    if (checked.given(name) && !is_of_optimizer(name, kind)) {
      checked.problems.add("{} has no effect with {} {}: leave it out", checked.called(name), checked.called("opt"),
                           name_of(kind));
    }
  }
}

void check_averages(const Checked& checked) {
  const RunConfig& run = checked.command.run;
  if (checked.given("eval_ema") && run.optimizer.ema_decay == 0) {
    checked.problems.add("--eval_ema has no effect without --ema_decay, which keeps the averages");
  }
  if (run.probe.ema && checked.command.verb == Verb::kLinprobe && run.probe.finetune_checkpoint.empty()) {
    checked.problems.add("--ema is of --finetune_checkpoint, which was not given");
  }
}

void check_zero(const Checked& checked) {
  const RunConfig& run = checked.command.run;
  if (run.zero.stage == 3) {
    checked.problems.add("{} is 3, which spreads the parameters as well: this program has stages 0, 1 and 2",
                         checked.called("zero_stage"));
  } else if (run.zero.stage < 0 || run.zero.stage > 3) {
    checked.problems.add("{} must be 0, 1 or 2, not {}", checked.called("zero_stage"), run.zero.stage);
  }
  if (run.zero.offload_optimizer == OffloadChoice::kCpu) {
    if (run.zero.stage == 0) {
      checked.problems.add("{} is cpu but {} is 0: offload is of a rank's share; use --zero_stage 2",
                           checked.called("offload_optimizer"), checked.called("zero_stage"));
    }
    if (run.zero.reduce_at_boundary) {
      checked.problems.add(
          "{} is cpu but {} keeps the gradients of all micro-steps on the device: leave one of them out",
          checked.called("offload_optimizer"), checked.called("reduce_at_boundary"));
    }
  } else {
    const bool ratio = checked.given("offload_ratio") && run.zero.offload_ratio.share != 1;
    if (ratio || run.zero.offload_gradients == GradientOffload::kCpu) {
      checked.problems.add("{} has no effect without --offload_optimizer cpu: give that, or leave it out",
                           checked.called(ratio ? "offload_ratio" : "offload_gradients"));
    }
  }
  if (checked.command.verb == Verb::kLinprobe && run.zero.communication_data_type == core::DType::kBFloat16) {
    checked.problems.add("{} is bf16 but the head of a linear probe is fp32: its gradients travel in fp32",
                         checked.called("communication_data_type"));
  } else if (run.runtime.dtype == DTypeChoice::kFloat32 && run.zero.communication_data_type == core::DType::kBFloat16) {
    checked.problems.add("{} is bf16 but the parameters are fp32 ({}): gradients travel in fp32 then",
                         checked.called("communication_data_type"), checked.called("dtype"));
  }
}

void check_runtime(const Checked& checked) {
  const RuntimeConfig& runtime = checked.command.run.runtime;
  if (runtime.device == DeviceChoice::kCpu && runtime.collectives == CollectivesChoice::kNccl) {
    checked.problems.add("--collectives nccl needs GPUs, but --device is cpu: use --collectives mpi or auto");
  }
}

void check_recomputation(const Checked& checked) {
  const Command& command = checked.command;
  if (command.verb == Verb::kPlan && command.run.model.gradient_checkpointing == GradientCheckpointing::kAuto &&
      !command.plan.gpu_memory) {
    checked.problems.add("--gradient_checkpointing auto goes by the memory of the GPU: give --gpu_memory 80GiB or so");
  }
}

/// --resume takes a path, or as the reference pipeline did the name of a checkpoint in --output_dir.
void settle_resume(const Checked& checked) {
  OutputConfig& output = checked.command.run.output;
  if (output.resume == "auto") {
    if (output.output_dir.empty()) {
      checked.problems.add("--resume auto looks in --output_dir, which was not given");
    }
  } else if (!output.resume.empty() && !is_directory(output.resume)) {
    const std::string named = (fs::path(output.output_dir) / output.resume).string();
    if (!output.output_dir.empty() && is_directory(named)) {
      output.resume = named;
    } else {
      checked.problems.add(
          "--resume {}: there is no such checkpoint directory{}; give auto, a path, or its name in "
          "--output_dir",
          output.resume, output.output_dir.empty() ? "" : ", nor " + named);
    }
  }
  if (checked.command.run.eval_only && output.resume.empty()) {
    checked.problems.add("--eval evaluates a checkpoint: say which with --resume, or use 'tessera eval --checkpoint'");
  }
}

void check_output(const Checked& checked) {
  const OutputConfig& output = checked.command.run.output;
  for (const std::string_view name :
       {"save_every_epochs", "save_every_steps", "save_every_minutes", "async_save", "keep_last", "keep_best"}) {
    if (checked.given(name) && output.output_dir.empty()) {
      checked.problems.add("--{} has no effect without --output_dir, where checkpoints go", name);
    }
  }
  if (checked.command.run.runtime.max_minutes > 0 && output.output_dir.empty()) {
    checked.problems.add("--max_minutes needs --output_dir, where the checkpoint goes that the run can go on from");
  }
}

void check_eval(const Checked& checked) {
  const std::string& predictions = checked.command.eval.predictions;
  if (!predictions.empty() && !predictions.ends_with(".csv") && !predictions.ends_with(".jsonl")) {
    checked.problems.add("--predictions {}: the name must end in .csv or .jsonl, which says how to write it",
                         predictions);
  }
}

void check_plain_images(const Checked& checked) {
  for (const std::string_view name : {"hflip", "aa", "color_jitter", "reprob", "remode", "recount", "mixup", "cutmix",
                                      "cutmix_minmax", "mixup_prob", "mixup_switch_prob", "mixup_mode"}) {
    if (checked.command.run.data.no_augment && checked.given(name)) {
      checked.problems.add("--{} has no effect with --no_augment: give one", name);
    }
  }
}

void check_probe(const Checked& checked) {
  const RunConfig& run = checked.command.run;
  const bool is_planned = checked.command.plan.linprobe;
  if (checked.command.verb == Verb::kPlan && !is_planned) {
    for (const std::string_view name : {"batch_norm", "cache_features"}) {
      if (checked.given(name)) {
        checked.problems.add("--{} is of a linear probe: 'tessera plan --linprobe' plans one", name);
      }
    }
    return;
  }
  for (const std::string_view name : {"gradient_checkpointing", "layer_decay", "freeze_blocks"}) {
    if (is_planned && checked.given(name)) {
      checked.problems.add("--{} has no effect on a linear probe, which trains one layer on a frozen backbone", name);
    }
  }
  if (run.probe.cache_features && !run.data.no_augment) {
    checked.problems.add(
        "--cache_features needs images that are the same in every epoch, but each is cropped and flipped anew: give "
        "--no_augment too, or leave it out");
  }
  if (checked.command.verb != Verb::kLinprobe) {
    return;
  }
  const bool has_checkpoint = !run.probe.finetune_checkpoint.empty();
  const int num_sources =
      (has_checkpoint ? 1 : 0) + (run.model.load_pretrained ? 1 : 0) + (run.model.random_init ? 1 : 0);
  if (num_sources != 1) {
    checked.problems.add(
        "{} weights are to be probed: give {} of --finetune_checkpoint PATH, --load_pretrained (with "
        "--pretrained_model_path DIR) and --random_init",
        num_sources == 0 ? "no" : "different", num_sources == 0 ? "one" : "only one");
  }
  if (!has_checkpoint && !checked.given("dataset")) {
    checked.problems.add("--dataset NAME is required: there is no --finetune_checkpoint that would say it");
  }
}

void check_paths(const Checked& checked) {
  const RunConfig& run = checked.command.run;
  const Verb verb = checked.command.verb;
  // A plan or a printed configuration may be made where the data is not.
  const bool needs_data = verb != Verb::kPlan && verb != Verb::kConfig;
  for (const auto& [flag, path] : {std::pair("data_path", needs_data ? run.data.data_path : ""),
                                   {"checkpoint", checked.command.eval.checkpoint},
                                   {"backbone", checked.command.eval.backbone},
                                   {"finetune_checkpoint", run.probe.finetune_checkpoint}}) {
    if (!path.empty() && !exists(path)) {
      checked.problems.add("--{} {}: there is no such file or directory", flag, path);
    }
  }
}

void check_pooling(const Checked& checked) {
  const ModelConfig& model = checked.command.run.model;
  if (model.global_pool && model.cls_token) {
    checked.problems.add("--global_pool and --cls_token both say what the head reads: give one");
  }
}

// Once the model's shape is known.
void check_frozen(const Checked& checked) {
  const ModelConfig& model = checked.command.run.model;
  const std::int64_t num_blocks = model.shape.num_hidden_layers;
  if (num_blocks > 0 && model.freeze_blocks > num_blocks) {
    checked.problems.add("--freeze_blocks {}: the model has {} blocks", model.freeze_blocks, num_blocks);
  }
}

/// The shape from `read`, whose UserError is one of the problems.
template <class Read>
void take_shape(const Checked& checked, Read read) {
  try {
    checked.command.run.model.shape = read();
  } catch (const core::UserError& error) {
    const std::string text = error.what();
    checked.problems.add("{}", text.substr(text.find("] ") + 2));
  }
}

/// A linear probe's checkpoint and an evaluation's bring their own; `config` and `compare` build no model.
bool needs_shape(Verb verb) { return verb == Verb::kFinetune || verb == Verb::kLinprobe || verb == Verb::kPlan; }

}  // namespace

std::string Checked::called(std::string_view name) const {
  const auto origin = origins.find(name);
  return origin != origins.end() ? origin->second : "--" + std::string(name);
}

void check_ranges(const std::vector<Setting>& settings, Checked checked) {
  for (const Setting& setting : settings) {
    const Scalar value = value_of(setting.field);
    const auto* whole = std::get_if<std::int64_t>(&value);
    const auto* real = std::get_if<double>(&value);
    if (!checked.given(setting.name) || (whole == nullptr && real == nullptr)) {
      continue;
    }
    if (!in_range(setting.range, whole != nullptr ? static_cast<double>(*whole) : *real)) {
      checked.problems.add("{} must be {}, not {}", checked.called(setting.name), wanted(setting.range), show(value));
    }
  }
}

void check_required(const std::vector<Setting>& settings, Checked checked) {
  const VerbInfo& verb = info_of(checked.command.verb);
  for (const Setting& setting : settings) {
    if ((setting.required & verb.bit) != 0 && !checked.given(setting.name)) {
      checked.problems.add("--{} {} is required: {}", setting.name, setting.value, setting.doc);
    }
  }
}

void settle_model(Checked checked) {
  ModelConfig& model = checked.command.run.model;
  const std::string& path = model.pretrained_model_path;
  if (model.load_pretrained && model.random_init) {
    checked.problems.add("--load_pretrained and --random_init contradict each other: give one");
  }
  if (model.load_pretrained && path.empty()) {
    checked.problems.add("--load_pretrained needs --pretrained_model_path, the directory that holds the weights");
  }
  if (!path.empty() && !model.model_config.empty()) {
    checked.problems.add("--pretrained_model_path and --model_config both say the model's shape: give one");
  } else if (!path.empty()) {
    if (is_directory(path)) {
      take_shape(checked, [&] { return read_model_config((fs::path(path) / "config.json").string()); });
    } else {
      checked.problems.add(
          "--pretrained_model_path {}: there is no such directory; it must be local and hold "
          "config.json (nothing is downloaded)",
          path);
    }
  } else if (!model.model_config.empty()) {
    take_shape(checked, [&] { return model_of(model.model_config); });
  } else if (needs_shape(checked.command.verb) && !model.load_pretrained &&
             checked.command.run.probe.finetune_checkpoint.empty()) {
    checked.problems.add(
        "the model's shape is missing: give --model_config {} or a config.json, or "
        "--pretrained_model_path DIR",
        core::list_of(model_preset_names(), "or"));
  }
}

void check_settings(Checked checked) {
  check_plan(checked);
  check_augment(checked);
  check_frozen(checked);
  check_pooling(checked);
  check_schedule(checked);
  check_optimizer(checked);
  check_averages(checked);
  check_zero(checked);
  check_runtime(checked);
  check_recomputation(checked);
  settle_resume(checked);
  check_output(checked);
  check_eval(checked);
  check_plain_images(checked);
  check_probe(checked);
  check_paths(checked);
}

void check_runs(Checked checked) {
  const RunsConfig& runs = checked.command.runs;
  for (const std::string& directory : runs.directories) {
    if (!is_directory(directory)) {
      checked.problems.add("{}: there is no such directory", directory);
    }
  }
  if (checked.command.verb == Verb::kCompare && !runs.output.empty() && !runs.output.ends_with(".svg")) {
    checked.problems.add("--output {}: the picture is an SVG file, and its name must end in .svg", runs.output);
  }
  if (checked.command.verb == Verb::kReport && !runs.output.empty() && !runs.output.ends_with(".html")) {
    checked.problems.add("--output {}: the report is an HTML file, and its name must end in .html", runs.output);
  }
}

void check_geometry(const RunConfig& config, Problems& problems) {
  const DataConfig& data = config.data;
  if (data.input_size <= 0 || data.patch_size <= 0) {
    return;  // said already
  }
  const std::int64_t patches_per_side = data.input_size / data.patch_size;
  const double tokens = std::pow(patches_per_side, 2) + (config.model.cls_token ? 1 : 0);  // which may leave 64 bits
  if (data.input_size % data.patch_size != 0) {
    problems.add("--input_size {} does not divide into patches of --patch_size {}", data.input_size, data.patch_size);
  } else if (config.model.shape.max_position_embeddings > 0 &&
             tokens > static_cast<double>(config.model.shape.max_position_embeddings)) {
    problems.add(
        "--input_size {} in patches of {} makes {} tokens, but the model has positions for {} "
        "(max_position_embeddings)",
        data.input_size, data.patch_size, tokens, config.model.shape.max_position_embeddings);
  }
}

}  // namespace tessera::config

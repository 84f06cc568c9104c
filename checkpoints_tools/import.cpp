#include "tessera/checkpoint/import.hpp"
#include "command_line.hpp"
#include "import_run.hpp"
#include "json_output.hpp"
#include "progress.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <filesystem>

namespace tessera::tools {
namespace {

constexpr const char* kWho = "tessera-ckpt import";

template <class T>
std::optional<T> flag(const po::variables_map& values, const char* name) {
  return values.count(name) > 0 ? std::optional(values[name].as<T>()) : std::nullopt;
}

ImportFlags flags_of(const po::variables_map& values) {
  ImportFlags flags;
  flags.model_config = flag<std::string>(values, "model_config");
  flags.dataset = flag<std::string>(values, "dataset");
  flags.dataset_size = flag<std::int64_t>(values, "dataset_size");
  flags.input_size = flag<std::int64_t>(values, "input_size");
  flags.train_batch_size = flag<std::int64_t>(values, "train_batch_size");
  flags.epochs = flag<std::int64_t>(values, "epochs");
  flags.warmup_epochs = flag<double>(values, "warmup_epochs");
  flags.blr = flag<double>(values, "blr");
  flags.lr = flag<double>(values, "lr");
  flags.min_lr = flag<double>(values, "min_lr");
  // Below 2^63, as on the command line of tessera.
  const auto seed = values["seed"].as<std::int64_t>();
  core::require<core::UserError>(seed >= 0, kWho, "--seed {} must be a whole number from 0", seed);
  flags.seed = static_cast<std::uint64_t>(seed);
  core::require<core::UserError>(!flags.lr || !flags.blr, kWho, "--lr and --blr say the same thing; give one");
  for (const auto& [name, rate] : {std::pair("--lr", flags.lr), {"--blr", flags.blr}, {"--min_lr", flags.min_lr}}) {
    core::require<core::UserError>(!rate || (*rate >= 0 && *rate < 1e6), kWho, "{} {:g} must be a number from 0", name,
                                   rate.value_or(0));
  }
  return flags;
}

// What came of it, and how to go on.
void report(const checkpoint::ImportFacts& facts, const checkpoint::ImportResult& result, const ImportedRun& imported,
            const core::Log& log) {
  const state::RunState& run = imported.run;
  for (const std::string& name : result.passed_over) {
    log.info("{} was left out: images do not meet it", name);
  }
  if (facts.has_optimizer) {
    log.info("weights, masters and moments after {} updates: epoch {} and {} of its {} steps", run.optimizer_step,
             run.epoch, run.step_in_epoch, run.steps_per_epoch);
    if (facts.epochs_done && (*facts.epochs_done != run.epoch || run.step_in_epoch != 0)) {
      log.info("the source says that {} epochs are done; the place in the data is taken from its {} steps",
               *facts.epochs_done, run.global_step);
    }
  } else {
    log.info("weights alone, widened to fp32: they are their own masters; moments are zero, and the step is 0");
  }
  for (const std::string& note : facts.notes) {
    log.info("{}", note);
  }
  log.info(
      "go on with: tessera finetune --resume auto --output_dir ... --dataset {} --input_size {} --patch_size {} --seed "
      "{}, with --batch_size x --accum_iter x ranks = {}",
      run.dataset, run.input_size, run.patch_size, run.seed, run.effective_batch);
}

void print_json(const checkpoint::ImportFacts& facts, const checkpoint::ImportResult& result, const ImportedRun& run,
                double seconds) {
  const nlohmann::ordered_json all{{"checkpoint", result.path},
                                   {"optimizer_state", facts.has_optimizer},
                                   {"global_step", run.run.global_step},
                                   {"optimizer_step", run.run.optimizer_step},
                                   {"epoch", run.run.epoch},
                                   {"step_in_epoch", run.run.step_in_epoch},
                                   {"tensors", run.parameters.size()},
                                   {"parameters", result.num_parameters},
                                   {"left_out", result.passed_over},
                                   {"bytes", result.bytes},
                                   {"seconds", seconds}};
  put_json(all);
}

int run(const po::variables_map& values, const core::Log& log) {
  core::require<core::UserError>(values.count("output") > 0, kWho,
                                 "--output RUN_DIR is missing: the directory of the run that goes on here");
  const auto path = values["SOURCE"].as<std::string>();
  checkpoint::ImportRequest request;
  request.run_dir = values["output"].as<std::string>();
  request.name = values["name"].as<std::string>();
  request.ignore_checksums = values.count("ignore_checksums") > 0;
  const std::string target = request.run_dir + "/" + checkpoint::checkpoint_directory_name(request.name);
  core::require<core::UserError>(!std::filesystem::exists(target), kWho, "{} is there already; give another --name",
                                 target);
  const checkpoint::ImportSource source(path, {values.count("weights_only") > 0});
  core::require<core::UserError>(source.facts().of_deepspeed || values.count("weights_only") == 0, kWho,
                                 "--weights_only is for checkpoints of DeepSpeed; {} holds nothing but weights in any "
                                 "case",
                                 path);
  const ImportedRun imported = assemble_run(source, flags_of(values), path);
  request.parameters = imported.parameters;
  request.run = imported.run;
  request.files.require_writable(kWho, "--output " + request.run_dir, request.run_dir);
  Progress total(log, "");
  std::optional<Progress> stage;
  std::string stage_name;
  request.progress = [&](const char* what, std::int64_t done, std::int64_t all) {
    if (stage_name != what) {
      stage.emplace(log, stage_name = what);
    }
    stage->update(done, all);
  };
  const auto result = checkpoint::import_checkpoint(source, request);
  log.status("");
  log.info("{}: {} parameters, {}", result.path, core::format_count(result.num_parameters),
           describe_rate(static_cast<double>(result.bytes), total.seconds()));
  if (!result.warning.empty()) {
    log.warn("{}", result.warning);
  }
  report(source.facts(), result, imported, log);
  if (values.count("json") > 0) {
    print_json(source.facts(), result, imported, total.seconds());
  }
  return 0;
}

}  // namespace

Verb import_verb() {
  Verb verb;
  verb.name = "import";
  verb.summary = "a DeepSpeed checkpoint, or weights, as a checkpoint from which training goes on";
  verb.usage = "SOURCE --output RUN_DIR [--model_config FILE|NAME] [--dataset NAME] [--input_size N] [--epochs N] ...";
  verb.details =
      "SOURCE is  a DeepSpeed ZeRO-1 or ZeRO-2 checkpoint in bf16, written by any number of ranks: the directory with\n"
      "           mp_rank_00_model_states.pt and *_optim_states.pt, or the one above it with `latest`\n"
      "           a .pth, .pt or .bin of torch.save with the model's state dict, bare or under \"model\"\n"
      "           a .safetensors file or a directory with some, or a consolidated .h5\n"
      "\n"
      "From DeepSpeed come weights, fp32 masters, AdamW's moments and steps, bit for bit; from the others the "
      "weights.\n"
      "Python's pickles are read as descriptions: nothing in them is run, and what they may name is listed.\n"
      "\n"
      "What the source does not say of its run is asked for: each flag that is missing is named. `tessera finetune\n"
      "--resume` compares most of it with its own flags, and takes the learning rate's schedule from those.\n";
  verb.examples =
      "    tessera-ckpt import results/qwen_deepspeed/checkpoint-19 --output results/qwen3-8b --model_config qwen3-8b "
      "\\\n"
      "      --dataset cifar100 --input_size 224 --epochs 100\n"
      "    tessera-ckpt import model.pth --output results/run --model_config Qwen3-8B/config.json\n"
      "    tessera-ckpt import model.safetensors --output results/run --epochs 10\n";
  verb.flags.add_options()("SOURCE", po::value<std::string>())("output", po::value<std::string>(),
                                                               "the run's directory; made where it is missing")(
      "name", po::value<std::string>()->default_value("imported"), "of the checkpoint: RUN_DIR/checkpoint-NAME")(
      "weights_only", "of a DeepSpeed checkpoint: leave the optimizer's state")(
      "model_config", po::value<std::string>(), "the backbone's config.json, or a preset; a config.json beside SOURCE")(
      "dataset", po::value<std::string>(), "cifar10, cifar100, fashion-mnist or imagefolder")(
      "dataset_size", po::value<std::int64_t>(), "images to train from, where the data set's name does not tell")(
      "input_size", po::value<std::int64_t>(), "pixels of the square images")(
      "train_batch_size", po::value<std::int64_t>(), "images per optimizer step over all ranks")(
      "epochs", po::value<std::int64_t>(), "of the whole run")(
      "warmup_epochs", po::value<double>(), "10 where SOURCE does not say, or --epochs if that is less")(
      "blr", po::value<double>(), "peak learning rate per 256 images of a step")(
      "lr", po::value<double>(), "peak learning rate; SOURCE's, or a blr of 1e-3")("min_lr", po::value<double>(),
                                                                                   "1e-6 where SOURCE does not say")(
      "seed", po::value<std::int64_t>()->default_value(0), "of the run that goes on")(
      "ignore_checksums", "do not compare SOURCE's CRCs")("json", "what was written, as JSON on stdout")(
      "quiet", "no progress on stderr");
  verb.positional = {"SOURCE"};
  verb.run = run;
  return verb;
}

}  // namespace tessera::tools

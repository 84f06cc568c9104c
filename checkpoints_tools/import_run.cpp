#include "import_run.hpp"

#include "tessera/config/run_config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/model/param_table.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace tessera::tools {
namespace {

namespace fs = std::filesystem;
using checkpoint::ImportFacts;
using checkpoint::ImportSource;
using config::DatasetKind;
using core::UserError;

constexpr const char* kWho = "tessera-ckpt import";
constexpr std::int64_t kMost = std::int64_t{1} << 31U;  // images, epochs: keeps products within 64 bits

// The settings that have no default, by the names of their flags where they are missing.
class Missing {
 public:
  template <class T>
  T value(const std::optional<T>& flag, const std::optional<T>& otherwise, const char* name, const char* why) {
    if (!flag && !otherwise) {
      lines_.push_back(fmt::format("{}: {}", name, why));
    }
    return flag ? *flag : otherwise.value_or(T{});
  }

  void check(const ImportFacts& facts) const {
    core::require<UserError>(lines_.empty(), kWho, "not all of the run is known from {}; give\n  {}", facts.kind,
                             fmt::join(lines_, "\n  "));
  }

 private:
  std::vector<std::string> lines_;
};

std::optional<config::ModelShape> find_model(const ImportFacts& facts, const ImportFlags& flags,
                                             const std::string& path) {
  std::error_code ignored;
  if (flags.model_config) {
    return config::model_of(*flags.model_config);
  }
  if (facts.run && !facts.run->model_config_json.empty()) {
    return config::parse_model_config(facts.run->model_config_json, path);
  }
  const fs::path directory = fs::is_directory(path, ignored) ? fs::path(path) : fs::path(path).parent_path();
  const fs::path beside = directory / "config.json";
  return fs::exists(beside, ignored) ? std::optional(config::read_model_config(beside.string())) : std::nullopt;
}

// The names of the reference pipeline's data sets, and ours.
std::optional<std::string> find_dataset(const ImportFacts& facts) {
  if (facts.run && !facts.run->dataset.empty()) {
    return facts.run->dataset;
  }
  const bool is_folder = facts.dataset == "imagenet" || facts.dataset == "tiny-imagenet";
  return is_folder ? std::optional<std::string>("imagefolder") : facts.dataset;
}

struct KnownDataset {
  std::optional<std::int64_t> num_images;  // to train from
  std::optional<std::int64_t> num_classes;
};

KnownDataset known_dataset(DatasetKind kind) {
  constexpr std::int64_t kCifar = 50'000;
  constexpr std::int64_t kFashionMnist = 60'000;
  switch (kind) {
    case DatasetKind::kCifar10:
      return {kCifar, 10};
    case DatasetKind::kCifar100:
      return {kCifar, 100};
    case DatasetKind::kFashionMnist:
      return {kFashionMnist, 10};
    case DatasetKind::kImageFolder:
      break;
  }
  return {};
}

// Classes, patch size and class token, which the weights show; that the head reads a mean, our own files say.
model::Geometry find_geometry(const ImportSource& source) {
  const auto* const head = source.shape_of("classifier.weight");
  const auto* const patches = source.shape_of("patch_embed.proj.weight");
  core::require<UserError>(head != nullptr && patches != nullptr, kWho,
                           "no {1} in {0}; a backbone alone is what `tessera finetune --pretrained_model_path PATH "
                           "--load_pretrained` begins with",
                           source.facts().kind, head == nullptr ? "classifier.weight" : "patch_embed.proj.weight");
  core::require<UserError>(head->size() == 2 && patches->size() == 4 && (*patches)[3] > 0, kWho,
                           "{}: classifier.weight is [{}] and patch_embed.proj.weight [{}]; two and four dimensions "
                           "are expected",
                           source.facts().kind, fmt::join(*head, ", "), fmt::join(*patches, ", "));
  model::Geometry geometry;
  geometry.num_classes = (*head)[0];
  geometry.patch_size = (*patches)[3];
  if (const auto& run = source.facts().run) {
    geometry.pooling = config::pooling_from_name(run->pooling);
  } else if (source.shape_of("cls_token") != nullptr) {
    geometry.pooling = config::Pooling::kClassToken;
  }
  return geometry;
}

// Where the run stands: by steps done, so that the data of every step is seen once, whatever the source calls an epoch.
void set_position(state::RunState& run, const ImportFacts& facts) {
  if (!facts.has_optimizer) {
    return;
  }
  core::require<UserError>(facts.global_step < run.total_steps, kWho,
                           "{} has made {} steps; --epochs of {} steps each must make more", facts.kind,
                           facts.global_step, run.steps_per_epoch);
  run.global_step = facts.global_step;
  run.skipped_steps = facts.skipped_steps;
  run.optimizer_step = facts.optimizer_step;
  run.epoch = facts.global_step / run.steps_per_epoch;
  run.step_in_epoch = facts.global_step % run.steps_per_epoch;
}

void set_schedule(state::RunState& run, const ImportFacts& facts, const ImportFlags& flags, std::int64_t epochs) {
  const config::OptimizerConfig defaults;
  const double otherwise = std::min(defaults.warmup_epochs, static_cast<double>(epochs));
  const double warmup_epochs = flags.warmup_epochs.value_or(facts.warmup_epochs.value_or(otherwise));
  const double scaled = static_cast<double>(run.effective_batch) / 256.0;
  core::require<UserError>(warmup_epochs >= 0 && warmup_epochs <= static_cast<double>(epochs), kWho,
                           "--warmup_epochs {:g} of {} --epochs: it must be from 0 to that", warmup_epochs, epochs);
  run.total_steps = run.steps_per_epoch * epochs;
  run.warmup_steps = std::llround(warmup_epochs * static_cast<double>(run.steps_per_epoch));
  run.peak_lr = flags.lr ? *flags.lr : flags.blr ? *flags.blr * scaled : facts.peak_lr.value_or(defaults.blr * scaled);
  run.min_lr = flags.min_lr.value_or(facts.min_lr.value_or(defaults.min_lr));
}

void check_counts(const state::RunState& run, std::int64_t epochs) {
  for (const auto& [name, number] : {std::pair("--dataset_size", run.dataset_size),
                                     {"--input_size", run.input_size},
                                     {"--train_batch_size", run.effective_batch},
                                     {"--epochs", epochs}}) {
    core::require<UserError>(number > 0 && number < kMost, kWho, "{} {} must be above 0, and not as large", name,
                             number);
  }
  core::require<UserError>(run.input_size % run.patch_size == 0, kWho,
                           "--input_size {} does not divide by the patch size of the weights, {}", run.input_size,
                           run.patch_size);
  core::require<UserError>(run.effective_batch <= run.dataset_size, kWho,
                           "the data set has {} images, fewer than one step of {}; see --dataset_size and "
                           "--train_batch_size",
                           run.dataset_size, run.effective_batch);
}

}  // namespace

ImportedRun assemble_run(const ImportSource& source, const ImportFlags& flags, const std::string& path) {
  const ImportFacts& facts = source.facts();
  const auto recorded = [&](std::int64_t state::RunState::*field) {
    return facts.run && facts.run.value().*field > 0 ? std::optional(facts.run.value().*field) : std::nullopt;
  };
  const auto either = [](const auto& first, const auto& second) { return first ? first : second; };
  const model::Geometry geometry = find_geometry(source);
  Missing missing;
  ImportedRun result;
  state::RunState& run = result.run;
  const auto shape = missing.value(std::optional<config::ModelShape>{}, find_model(facts, flags, path),
                                   "--model_config FILE|NAME", "the backbone's config.json, or a preset's name");
  run.dataset = missing.value(flags.dataset, find_dataset(facts), "--dataset NAME", "what it was trained on");
  run.input_size = missing.value(flags.input_size, either(facts.input_size, recorded(&state::RunState::input_size)),
                                 "--input_size N", "pixels of its square images");
  run.effective_batch =
      missing.value(flags.train_batch_size, either(facts.effective_batch, recorded(&state::RunState::effective_batch)),
                    "--train_batch_size N", "images per optimizer step, over all ranks");
  const std::int64_t epochs = missing.value(flags.epochs, facts.epochs, "--epochs N", "of the whole run");
  const KnownDataset known =
      run.dataset.empty() ? KnownDataset{0, std::nullopt} : known_dataset(config::dataset_from_name(run.dataset));
  run.dataset_size =
      missing.value(flags.dataset_size, either(recorded(&state::RunState::dataset_size), known.num_images),
                    "--dataset_size N", "how many images there are to train from");
  missing.check(facts);
  core::require<UserError>(known.num_classes.value_or(geometry.num_classes) == geometry.num_classes, kWho,
                           "--dataset {} has {} classes, and the weights are for {}", run.dataset,
                           known.num_classes.value_or(0), geometry.num_classes);
  run.num_classes = geometry.num_classes;
  run.patch_size = geometry.patch_size;
  run.pooling = config::name_of(geometry.pooling);
  check_counts(run, epochs);
  run.steps_per_epoch = run.dataset_size / run.effective_batch;
  run.seed = flags.seed;
  run.world_size = std::max(facts.world_size, 1);
  run.zero_stage = facts.zero_stage;
  run.model_config_json = config::to_hugging_face_json(shape);
  set_schedule(run, facts, flags, epochs);
  set_position(run, facts);
  for (const model::Param& param : model::build_param_table(shape, geometry).params) {
    result.parameters.push_back({param.name, param.shape});
  }
  return result;
}

}  // namespace tessera::tools

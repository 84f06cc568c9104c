#include "tessera/checkpoint/import.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/file_system.hpp"
#include "tessera/report/evaluation_text.hpp"
#include "tessera/train/commands.hpp"
#include "train/run_files.hpp"
#include "train/trainer.hpp"
#include "train/weight_source.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>

namespace tessera::train {
namespace {

namespace fs = std::filesystem;

config::RecordedRun recorded_in(const state::RunState& run) {
  return {run.model_config_json, run.dataset, run.input_size, run.patch_size};
}

// What the weights' files say of the run that made them: ours say it all, others have at best a config.json beside
// them.
config::RecordedRun recorded_run(const std::string& path) {
  core::require<core::UserError>(fs::exists(path), "train", "--checkpoint {}: no such file or directory", path);
  if (checkpoint::is_checkpoint(path)) {
    return recorded_in(checkpoint::Reader(path).run_state());
  }
  if (const auto run = checkpoint::ImportSource(path, {true}).facts().run) {
    return recorded_in(*run);
  }
  const fs::path directory = fs::is_directory(path) ? fs::path(path) : fs::path(path).parent_path();
  std::ifstream config(directory / "config.json");
  std::ostringstream text;
  text << config.rdbuf();
  return {text.str(), "", 0, 0};
}

// What tells a person which image it is. Images of other data sets have no names but their numbers.
std::vector<std::string> image_names(const data::Dataset& dataset, config::DatasetKind kind) {
  std::vector<std::string> names;
  if (kind == config::DatasetKind::kImageFolder) {
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      names.push_back(dataset.name(i));
    }
  }
  return names;
}

void write_files(const config::EvalConfig& eval, const EvaluatedSet& set, const data::Dataset& dataset,
                 config::DatasetKind kind) {
  const io::FileSystem files;
  if (!eval.csv.empty()) {
    files.atomic_write(eval.csv, report::to_csv(set.summary));
  }
  if (!eval.predictions.empty()) {
    files.atomic_write(eval.predictions,
                       report::predictions_text(eval.predictions, set.outcomes, image_names(dataset, kind)));
  }
}

}  // namespace

void evaluate(const config::Command& command, const topology::Group& world, const core::Log& log) {
  config::Command complete = command;
  std::unique_ptr<data::Dataset> dataset;
  world.agree([&] {
    config::fill_from_checkpoint(complete, recorded_run(command.eval.checkpoint));
    const config::DataConfig& data = complete.run.data;
    dataset = data::open_dataset({data.dataset, data.data_path, data::Split::kTest});
    if (world.rank() == 0) {
      require_writable_file("--csv", command.eval.csv);
      require_writable_file("--predictions", command.eval.predictions);
    }
  });
  const config::RunConfig& config = complete.run;
  Platform platform;
  world.agree([&] { platform = open_platform(config.runtime, world, log); });
  const model::Qwen3Classifier model(config.model.shape,
                                     {config.data.input_size, config.data.patch_size, dataset->num_classes()},
                                     *platform.ops, {platform.device, platform.compute, false});
  engine::FillPiece source;
  world.agree([&] { source = trained_source(command.eval.checkpoint, model.params(), platform.compute); });
  const auto weights = engine::load_weights({model.params(), *platform.collectives, platform.mesh.world, *platform.ops},
                                            engine_options(config, platform.device, platform.compute), source);
  const EvaluatedSet set = evaluate_dataset({model, *weights, *dataset, loader_spec(config, platform), platform, log});
  print_evaluation(set.summary, platform, log);
  world.agree([&] {
    if (platform.is_first()) {
      write_files(command.eval, set, *dataset, config.data.dataset);
    }
  });
}

}  // namespace tessera::train

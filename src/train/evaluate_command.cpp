#include "tessera/checkpoint/import.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/core/error.hpp"
#include "tessera/train/commands.hpp"
#include "train/run_files.hpp"
#include "train/trainer.hpp"
#include "train/weight_source.hpp"

#include <cstdio>
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

}  // namespace

void evaluate(const config::Command& command, const topology::Group& world, const core::Log& log) {
  config::Command complete = command;
  std::unique_ptr<data::Dataset> dataset;
  world.agree([&] {
    config::fill_from_checkpoint(complete, recorded_run(command.eval.checkpoint));
    const config::DataConfig& data = complete.run.data;
    dataset = data::open_dataset({data.dataset, data.data_path, data::Split::kTest});
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
  const Evaluation result = evaluate_dataset(model, *weights, *dataset, loader_spec(config, platform), platform);
  log.info("{}: acc1 {:.2f}% acc5 {:.2f}% loss {:.4f} on {} images", command.eval.checkpoint, result.acc1, result.acc5,
           result.loss, result.num_images);
  if (platform.is_first()) {
    std::puts(to_json_line(result).c_str());
  }
}

}  // namespace tessera::train

#include "tessera/io/file_system.hpp"
#include "tessera/report/evaluation_text.hpp"
#include "tessera/train/commands.hpp"
#include "train/run_files.hpp"
#include "train/shared_inputs.hpp"
#include "train/trained_model.hpp"
#include "train/trainer.hpp"
#include "train/weight_source.hpp"

namespace tessera::train {
namespace {

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
  world.agree([&] {
    config::fill_from_checkpoint(complete, recorded_run(command.eval.checkpoint));
    if (world.rank() == 0) {
      require_writable_file("--csv", command.eval.csv);
      require_writable_file("--predictions", command.eval.predictions);
    }
  });
  const config::RunConfig& config = complete.run;
  const auto dataset = open_shared_dataset({config.data.dataset, config.data.data_path, data::Split::kTest}, world);
  Platform platform;
  world.agree([&] { platform = open_platform(config.runtime, world, log); });
  const auto trained = load_trained_model({command.eval.checkpoint, command.eval.backbone, dataset->num_classes()},
                                          config, platform, log);
  const EvaluatedSet set =
      *evaluate_dataset({trained->model(), trained->weights(), *dataset, loader_spec(config, platform), platform, log});
  print_evaluation(set.summary, platform, log);
  world.agree([&] {
    if (platform.is_first()) {
      write_files(command.eval, set, *dataset, config.data.dataset);
    }
  });
}

}  // namespace tessera::train

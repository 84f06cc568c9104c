#include "tessera/checkpoint/restore.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"
#include "tessera/train/commands.hpp"
#include "train/planning.hpp"
#include "train/run_files.hpp"
#include "train/run_start.hpp"
#include "train/trainer.hpp"
#include "train/weight_source.hpp"

#include <memory>
#include <optional>
#include <utility>

namespace tessera::train {
namespace {

struct Datasets {
  std::unique_ptr<data::Dataset> train;
  std::unique_ptr<data::Dataset> test;
};

Datasets open_datasets(const config::RunConfig& run) {
  const config::DataConfig& config = run.data;
  Datasets sets;
  sets.train = data::open_dataset({config.dataset, config.data_path, data::Split::kTrain});
  sets.test = data::open_dataset({config.dataset, config.data_path, data::Split::kTest});
  core::require<core::UserError>(config.nb_classes == 0 || config.nb_classes == sets.train->num_classes(), "train",
                                 "--nb_classes {}: {} at {} has {} classes; leave the flag out, or give the other data",
                                 config.nb_classes, config::name_of(config.dataset), config.data_path,
                                 sets.train->num_classes());
  if (run.augment.random_label_ratio > 0) {
    sets.train = data::with_random_labels(std::move(sets.train), run.augment.random_label_ratio, run.runtime.seed);
  }
  return sets;
}

// First values of every parameter, or the state of the checkpoint that is resumed.
void give_values(const TrainerParts& parts, const std::optional<std::string>& checkpoint, std::int64_t num_updates) {
  const config::RunConfig& config = parts.config;
  const topology::Group& world = parts.platform.mesh.world;
  if (checkpoint) {
    checkpoint::restore(*checkpoint, parts.engine.state_to_restore(), world, make_copier(parts.platform.device));
    parts.engine.finish_restore(num_updates);
    return;
  }
  const kernels::Ops& ops = *parts.platform.ops;
  engine::FillPiece source = engine::random_init(ops, config.runtime.seed);
  if (config.model.load_pretrained) {
    world.agree([&] {
      source = pretrained_source(config.model.pretrained_model_path, parts.model.params(), ops, config.runtime.seed,
                                 parts.log);
    });
  }
  parts.engine.initialise(source);
}

void evaluate_once(const TrainerParts& parts) {
  const EvaluatedSet test = evaluate_dataset({parts.model, parts.engine.weights(), parts.test_set,
                                              loader_spec(parts.config, parts.platform), parts.platform, parts.log});
  print_evaluation(test.summary, parts.platform, parts.log);
}

void report_memory(const engine::MemoryPlan& plan, const Platform& platform, const core::Log& log) {
  const auto peak = static_cast<double>(peak_memory_bytes(platform.device));
  const auto planned = static_cast<double>(plan.total());
  log.info("peak memory on the first rank: {} ({})", core::format_bytes(peak),
           platform.device.is_cpu()
               ? "the whole process"
               : fmt::format("the plan said {}, {:+.1f}%", core::format_bytes(planned), 100 * (planned - peak) / peak));
}

}  // namespace

void finetune(const config::RunConfig& config, const topology::Group& world, const core::Log& log) {
  std::optional<std::string> checkpoint;
  Datasets sets;
  world.agree([&] {
    sets = open_datasets(config);
    checkpoint = prepare_output(config, world.rank() == 0, log);
  });
  checkpoint = share_path(checkpoint, world);

  Platform platform;
  world.agree([&] { platform = open_platform(config.runtime, world, log); });
  const std::int64_t num_classes = sets.train->num_classes();
  const engine::EngineOptions options = engine_options(config, platform.device, platform.compute);
  const engine::MemoryPlan plan = engine::plan_memory(planned_run(config, num_classes, platform.world(), options));
  log.info("memory by the plan:\n{}", to_table(plan));
  state::RunState run;
  world.agree([&] {
    require_memory(plan, platform);
    run = start_state(config, {sets.train->size(), num_classes, platform.world()});
    if (checkpoint) {
      run = resumed_state(*checkpoint, run, log);
    }
    if (world.rank() == 0) {
      write_args(config, platform);
    }
  });

  const model::Qwen3Classifier model(config.model.shape, {config.data.input_size, config.data.patch_size, num_classes},
                                     *platform.ops,
                                     {platform.device, platform.compute, config.model.gradient_checkpointing});
  engine::Engine engine({model.params(), *platform.collectives, platform.mesh.world, *platform.ops}, options);
  const TrainerParts parts{config, platform, log, model, engine, *sets.train, *sets.test};
  log.info("{} parameters, {} tokens an image, effective batch {}, peak learning rate {:.3g}",
           core::format_count(model.params().num_elements()), config.data.num_tokens(), run.effective_batch,
           run.peak_lr);
  give_values(parts, checkpoint, run.optimizer_step);
  if (config.eval_only) {
    evaluate_once(parts);
    return;
  }
  Trainer(parts, run).run();
  report_memory(plan, platform, log);
}

}  // namespace tessera::train

#include "tessera/checkpoint/restore.hpp"
#include "tessera/core/units.hpp"
#include "tessera/model/flops.hpp"
#include "tessera/model/qwen3_classifier.hpp"
#include "tessera/train/commands.hpp"
#include "train/planning.hpp"
#include "train/prepare_run.hpp"
#include "train/trainer.hpp"
#include "train/weight_source.hpp"

#include <optional>
#include <utility>

namespace tessera::train {
namespace {

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
    source = pretrained_source({config.model.pretrained_model_path, config.runtime.seed}, parts.model.params(),
                               parts.platform, parts.log);
  }
  parts.engine.initialise(source);
}

}  // namespace

Ending finetune(const config::RunConfig& given, const topology::Group& world, const core::Log& log) {
  config::RunConfig config = given;
  const auto stopper = stopper_of(config, world, log);
  const PreparedRun prepared = prepare_run(config, world, log);
  const Platform& platform = prepared.platform;
  const model::Geometry geometry = geometry_of(config, prepared.num_classes());
  engine::PlannedRun planned = planned_run(config, geometry.num_classes, platform.world(),
                                           engine_options(config, platform.device, platform.compute));
  settle_by_memory(planned, config, platform, log);
  const engine::MemoryPlan plan = engine::plan_memory(planned);
  const state::RunState run = begin_run(prepared, config, plan, "", log);

  const model::Qwen3Classifier model(
      config.model.shape, geometry, *platform.ops,
      {platform.device, platform.compute, planned.recompute, config.model.freeze_blocks});
  const int num_frozen_units = model::num_frozen_units(config.model.freeze_blocks);
  engine::Engine engine({model.params(), *platform.collectives, platform.mesh.world, *platform.ops, num_frozen_units},
                        planned.options);
  const std::int64_t num_parameters = model.params().num_elements();
  const std::int64_t num_trained = model::split_table(model.params(), num_frozen_units).rest.num_elements();
  const data::LoaderSpec loader = loader_spec(config, platform);
  const TrainerParts parts{config,
                           platform,
                           log,
                           model,
                           engine,
                           *prepared.train_set,
                           *prepared.test_set,
                           loader,
                           loader,
                           {num_parameters, num_trained, geometry.num_tokens(),
                            model::training_flops_per_image(config.model.shape, geometry, config.model.freeze_blocks)},
                           stopper.get()};
  log.info("{} parameters{}, {} tokens an image, effective batch {}, peak learning rate {:.3g}",
           core::format_count(num_parameters),
           num_trained < num_parameters ? fmt::format(", {} of them trained", core::format_count(num_trained)) : "",
           geometry.num_tokens(), run.effective_batch, run.peak_lr);
  give_values(parts, prepared.checkpoint, run.optimizer_step);
  if (config.eval_only) {
    evaluate_once(parts);
    return Ending::kDone;
  }
  const Ending ending = Trainer(parts, run).run();
  report_memory(plan, platform, log);
  return ending;
}

}  // namespace tessera::train

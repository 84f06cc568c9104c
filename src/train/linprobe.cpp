#include "tessera/checkpoint/restore.hpp"
#include "tessera/core/philox.hpp"
#include "tessera/core/units.hpp"
#include "tessera/model/flops.hpp"
#include "tessera/model/linear_probe.hpp"
#include "tessera/train/commands.hpp"
#include "train/feature_cache.hpp"
#include "train/frozen_backbone.hpp"
#include "train/planning.hpp"
#include "train/prepare_run.hpp"
#include "train/probe_norm.hpp"
#include "train/run_files.hpp"
#include "train/trainer.hpp"
#include "train/weight_source.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace tessera::train {
namespace {

// What is probed, in a form that holds wherever the next run is started.
std::string backbone_path(const config::RunConfig& config) {
  if (config.model.random_init) {
    return kRandomBackbone;
  }
  const std::string& path =
      config.model.load_pretrained ? config.model.pretrained_model_path : config.probe.finetune_checkpoint;
  return std::filesystem::canonical(path).string();
}

// Not the run's own: from that a fine-tuning with the same seed drew its head, by the same name, and trained its
// features to suit it, so that a probe which began with the same draw would know its classes before its first step; and
// the crops of its images, which features fit better than those that they were not trained on.
std::uint64_t probe_seed(std::uint64_t seed) {
  constexpr std::string_view kName = "linprobe";
  return seed ^ core::hash_name(kName.data(), kName.size());
}

// First values of the head, or the state of the checkpoint that is resumed, which must be of the same backbone.
void give_values(const TrainerParts& parts, const FrozenBackbone& backbone,
                 const std::optional<std::string>& checkpoint, state::RunState& run) {
  const topology::Group& world = parts.platform.mesh.world;
  if (checkpoint) {
    world.agree([&] { require_same_backbone(backbone, run, "--finetune_checkpoint"); });
    checkpoint::restore(*checkpoint, parts.engine.state_to_restore(), world, make_copier(parts.platform.device));
    parts.engine.finish_restore(run.optimizer_step);
  } else {
    run.backbone_crc32c = backbone.crc32c();
    parts.engine.initialise(engine::random_init(*parts.platform.ops, probe_seed(parts.config.runtime.seed)));
  }
}

// The backbone once over every image; from then on a step needs no more than the head.
void cache_features(const FrozenBackbone& backbone, TrainerParts& parts) {
  const Stopwatch watch;
  const auto compute = [&](const data::Dataset& dataset, data::LoaderSpec& spec) {
    spec.rows_ND = compute_features(backbone.parts(), dataset, spec, parts.platform);
  };
  compute(parts.train_set, parts.train_loader);
  compute(parts.test_set, parts.test_loader);
  parts.platform.mesh.world.barrier();
  const double seconds = watch.seconds();
  const std::int64_t images = parts.train_set.size() + parts.test_set.size();
  const auto per_second = static_cast<double>(images) / seconds;
  parts.log.info(
      "features of {} images in {}: {} tok/s mfu {:.1f}%", images, core::format_duration(seconds),
      core::format_count(static_cast<std::int64_t>(per_second * static_cast<double>(parts.workload.tokens_per_image))),
      100 * per_second * parts.workload.flops_per_image / (parts.platform.peak.flops * parts.platform.world()));
  parts.workload.tokens_per_image = 0;
  parts.workload.flops_per_image = 0;
}

}  // namespace

Ending linprobe(const config::Command& command, const topology::Group& world, const core::Log& log) {
  const auto stopper = stopper_of(command.run, world, log);
  const Stopwatch watch;
  config::Command complete = command;
  if (!command.run.probe.finetune_checkpoint.empty()) {
    world.agree([&] { config::fill_from_checkpoint(complete, recorded_run(command.run.probe.finetune_checkpoint)); });
  }
  config::RunConfig& config = complete.run;
  const PreparedRun prepared = prepare_run(config, world, log);
  const Platform& platform = prepared.platform;
  const std::int64_t num_classes = prepared.num_classes();
  engine::PlannedProbe planned =
      planned_probe(config, {num_classes, prepared.train_set->size() + prepared.test_set->size(), platform.world(),
                             platform.device, platform.compute});
  settle_by_memory(planned, config, platform, log);
  const engine::MemoryPlan plan = engine::plan_probe_memory(planned);
  const std::string path = backbone_path(config);
  state::RunState run = begin_run(prepared, config, plan, path, log);

  const FrozenBackbone backbone(config, num_classes, {path, platform.compute, config.runtime.seed, config.probe.ema},
                                platform, log);
  std::optional<model::FeatureNorm> norm;
  if (config.probe.batch_norm) {
    norm.emplace(make_feature_norm(config.model.shape.hidden_size, platform));
  }
  const model::LinearProbe probe(backbone.parts(), num_classes, norm ? &*norm : nullptr);
  engine::Engine engine({probe.params(), *platform.collectives, platform.mesh.world, *platform.ops, 0,
                         norm ? buffers_of(*norm) : std::vector<engine::NamedBuffer>()},
                        planned.head);
  const std::int64_t num_trained = probe.params().num_elements();
  data::LoaderSpec loader = loader_spec(config, platform);
  loader.seed = probe_seed(config.runtime.seed);
  const model::Geometry geometry = geometry_of(config, num_classes);
  TrainerParts parts{config,
                     platform,
                     log,
                     probe,
                     engine,
                     *prepared.train_set,
                     *prepared.test_set,
                     loader,
                     loader,
                     {backbone.num_parameters() + num_trained, num_trained, geometry.num_tokens(),
                      model::forward_flops_per_image(config.model.shape, geometry)},
                     stopper.get()};
  log.info("{} of {} parameters are trained, {} tokens an image, effective batch {}, peak learning rate {:.3g}",
           core::format_count(num_trained), core::format_count(parts.workload.num_parameters), geometry.num_tokens(),
           run.effective_batch, run.peak_lr);
  give_values(parts, backbone, prepared.checkpoint, run);
  if (config.eval_only) {
    evaluate_once(parts);
    return Ending::kDone;
  }
  if (config.probe.cache_features) {
    cache_features(backbone, parts);
  }
  Trainer trainer(parts, run);
  const Ending ending = trainer.run();
  if (ending == Ending::kDone && trainer.last_test() && platform.is_first()) {
    write_final_results(config.output.output_dir, trainer.state(), *trainer.last_test(), watch.seconds());
  }
  report_memory(plan, platform, log);
  return ending;
}

}  // namespace tessera::train

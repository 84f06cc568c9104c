#include "train/prepare_run.hpp"

#include "tessera/checkpoint/reader.hpp"
#include "tessera/core/error.hpp"
#include "train/planning.hpp"
#include "train/run_files.hpp"
#include "train/run_start.hpp"
#include "train/shared_inputs.hpp"

#include <utility>

namespace tessera::train {
namespace {

void open_datasets(const config::RunConfig& run, const topology::Group& world, PreparedRun& prepared) {
  const config::DataConfig& config = run.data;
  prepared.train_set = open_shared_dataset({config.dataset, config.data_path, data::Split::kTrain}, world);
  prepared.test_set = open_shared_dataset({config.dataset, config.data_path, data::Split::kTest}, world);
}

void settle_labels(const config::RunConfig& run, PreparedRun& prepared) {
  const config::DataConfig& config = run.data;
  const std::int64_t num_classes = prepared.num_classes();
  core::require<core::UserError>(config.nb_classes == 0 || config.nb_classes == num_classes, "train",
                                 "--nb_classes {}: {} at {} has {} classes; leave the flag out, or give the other data",
                                 config.nb_classes, config::name_of(config.dataset), config.data_path, num_classes);
  if (run.augment.random_label_ratio > 0) {
    prepared.train_set =
        data::with_random_labels(std::move(prepared.train_set), run.augment.random_label_ratio, run.runtime.seed);
  }
}

}  // namespace

PreparedRun prepare_run(config::RunConfig& config, const topology::Group& world, const core::Log& log) {
  PreparedRun prepared;
  open_datasets(config, world, prepared);
  world.agree([&] {
    settle_labels(config, prepared);
    prepared.checkpoint = prepare_output(config, world.rank() == 0, log);
  });
  prepared.checkpoint = share_path(prepared.checkpoint, world);
  world.agree([&] { prepared.platform = open_platform(config.runtime, world, log); });
  if (prepared.checkpoint) {
    const topology::Mesh& mesh = prepared.platform.mesh;
    prepared.stored = checkpoint::Reader::open_shared(*prepared.checkpoint, mesh.world, mesh.node).run_state();
    world.agree([&] { config = with_saved_batch(config, *prepared.checkpoint, prepared.stored, world.size(), log); });
  }
  return prepared;
}

state::RunState begin_run(const PreparedRun& prepared, const config::RunConfig& config, const engine::MemoryPlan& plan,
                          const std::string& backbone, const core::Log& log) {
  const Platform& platform = prepared.platform;
  if (config.zero.offload_optimizer != config::OffloadChoice::kNone && platform.device.is_cpu()) {
    log.warn("--offload_optimizer cpu means nothing here: the run computes on the CPU, in host memory already");
  }
  log.info("memory by the plan:\n{}", to_table(plan));
  state::RunState run;
  platform.mesh.world.agree([&] {
    require_memory(plan, platform);
    run = start_state(config, {prepared.train_set->size(), prepared.num_classes(), platform.world()});
    run.backbone = backbone;
    if (prepared.checkpoint) {
      run = resumed_state(*prepared.checkpoint, prepared.stored, run, log);
    }
    if (platform.is_first()) {
      write_args(config, platform);
      write_memory_plan(config, platform, plan);
    }
  });
  return run;
}

}  // namespace tessera::train

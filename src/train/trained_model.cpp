#include "train/trained_model.hpp"

#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/core/error.hpp"
#include "tessera/model/linear_probe.hpp"
#include "train/frozen_backbone.hpp"
#include "train/planning.hpp"
#include "train/probe_norm.hpp"
#include "train/weight_source.hpp"

#include <optional>
#include <utility>

namespace tessera::train {
namespace {

std::unique_ptr<model::Weights> load(const model::ParamTable& table, const engine::FillPiece& source,
                                     const engine::EngineOptions& options, const Platform& platform) {
  return engine::load_weights({table, *platform.collectives, platform.mesh.world, *platform.ops}, options, source);
}

class WholeModel final : public TrainedModel {
 public:
  WholeModel(const TrainedModelSpec& spec, const config::RunConfig& config, const Platform& platform)
      : model_(config.model.shape, geometry_of(config, spec.num_classes), *platform.ops,
               {platform.device, platform.compute}) {
    engine::FillPiece source;
    platform.mesh.world.agree(
        [&] { source = trained_source(spec.path, model_.params(), platform.compute, config.probe.ema); });
    weights_ = load(model_.params(), source, engine_options(config, platform.device, platform.compute), platform);
  }

  [[nodiscard]] const model::Classifier& model() const override { return model_; }
  [[nodiscard]] model::Weights& weights() const override { return *weights_; }

 private:
  model::Qwen3Classifier model_;
  std::unique_ptr<model::Weights> weights_;
};

class ProbedModel final : public TrainedModel {
 public:
  ProbedModel(const TrainedModelSpec& spec, const state::RunState& run, const config::RunConfig& config,
              const Platform& platform, const core::Log& log)
      : backbone_(config, spec.num_classes,
                  {spec.backbone.empty() ? run.backbone : spec.backbone, platform.compute, run.seed, config.probe.ema},
                  platform, log) {
    const topology::Group& world = platform.mesh.world;
    world.agree([&] {
      require_same_backbone(backbone_, run, "--backbone");
      const checkpoint::Reader reader(spec.path);
      if (has_feature_norm(reader)) {
        norm_.emplace(make_feature_norm(config.model.shape.hidden_size, platform));
        read_feature_norm(reader, *norm_);
      }
    });
    probe_.emplace(backbone_.parts(), spec.num_classes, norm_ ? &*norm_ : nullptr);
    engine::FillPiece source;
    world.agree([&] { source = trained_source(spec.path, probe_->params(), at::kFloat, false); });
    weights_ = load(probe_->params(), source, engine_options(config, platform.device, at::kFloat), platform);
  }

  [[nodiscard]] const model::Classifier& model() const override { return *probe_; }
  [[nodiscard]] model::Weights& weights() const override { return *weights_; }

 private:
  FrozenBackbone backbone_;
  std::optional<model::FeatureNorm> norm_;
  std::optional<model::LinearProbe> probe_;
  std::unique_ptr<model::Weights> weights_;
};

}  // namespace

std::unique_ptr<TrainedModel> load_trained_model(const TrainedModelSpec& spec, const config::RunConfig& config,
                                                 const Platform& platform, const core::Log& log) {
  state::RunState run;
  platform.mesh.world.agree([&] {
    if (checkpoint::is_checkpoint(spec.path)) {
      run = checkpoint::Reader(spec.path).run_state();
    }
    core::require<core::UserError>(spec.backbone.empty() || !run.backbone.empty(), "train",
                                   "--backbone {}: {} is no checkpoint of a linear probe; leave it out", spec.backbone,
                                   spec.path);
  });
  if (run.backbone.empty()) {
    return std::make_unique<WholeModel>(spec, config, platform);
  }
  return std::make_unique<ProbedModel>(spec, run, config, platform, log);
}

}  // namespace tessera::train

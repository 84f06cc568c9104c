#pragma once

#include "tessera/config/run_config.hpp"
#include "tessera/core/log.hpp"
#include "tessera/model/classifier.hpp"
#include "tessera/model/parameter_access.hpp"
#include "train/platform.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace tessera::train {

/// A model and its weights, to be evaluated: fine-tuned whole, or a linear probe's head on the backbone that it names.
class TrainedModel {
 public:
  TrainedModel() = default;
  TrainedModel(const TrainedModel&) = delete;
  TrainedModel& operator=(const TrainedModel&) = delete;
  virtual ~TrainedModel() = default;

  [[nodiscard]] virtual const model::Classifier& model() const = 0;
  [[nodiscard]] virtual model::Weights& weights() const = 0;
};

struct TrainedModelSpec {
  std::string path;      ///< a checkpoint, or weights of any kind
  std::string backbone;  ///< of a probe, where that is not where it was; empty: where it was
  std::int64_t num_classes = 0;
};

/// Throws AgreedUserError where something is missing, damaged or of another shape. Collective over the run.
std::unique_ptr<TrainedModel> load_trained_model(const TrainedModelSpec& spec, const config::RunConfig& config,
                                                 const Platform& platform, const core::Log& log);

}  // namespace tessera::train

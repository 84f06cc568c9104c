#pragma once

#include "tessera/config/run_config.hpp"
#include "tessera/core/log.hpp"
#include "tessera/model/linear_probe.hpp"
#include "tessera/model/parameter_access.hpp"
#include "tessera/model/qwen3_classifier.hpp"
#include "train/platform.hpp"
#include "train/weight_source.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace tessera::train {

/// The part of a linear probe that is not trained: whole on every rank, in the compute dtype, without master weights,
/// gradients or moments.
class FrozenBackbone {
 public:
  /// Throws AgreedUserError where the weights do not fit. Collective over the run.
  FrozenBackbone(const config::RunConfig& config, std::int64_t num_classes, const BackboneSpec& spec,
                 const Platform& platform, const core::Log& log);

  [[nodiscard]] model::LinearProbe::Backbone parts() const { return {model_, *weights_}; }
  [[nodiscard]] std::int64_t num_parameters() const { return table_.num_elements(); }

  /// CRC-32C of the first elements of every unit, as bf16: tells one backbone from another, whatever the dtype and the
  /// number of ranks.
  [[nodiscard]] const std::string& crc32c() const { return crc32c_; }

 private:
  model::Qwen3Classifier model_;
  model::ParamTable table_;
  std::unique_ptr<model::Weights> weights_;
  std::string crc32c_;
};

}  // namespace tessera::train

#pragma once

#include "tessera/model/classifier.hpp"
#include "tessera/model/feature_norm.hpp"
#include "tessera/model/qwen3_classifier.hpp"

#include <optional>

// Shapes: B images of 3 x S x S, D features, C classes.

namespace tessera::model {

/// The parameters of a probe's head: classifier.weight (normal, 0.01, as MAE's) and classifier.bias (zeros).
ParamTable build_probe_table(std::int64_t num_features, std::int64_t num_classes);

/// The parameters that a probe leaves as they are: of the whole table all but the head.
ParamTable backbone_part(const ParamTable& table);

/// A linear layer on the features of a frozen backbone, in fp32. The backbone is run forward alone: no gradients, and
/// nothing is kept of it.
class LinearProbe final : public Classifier {
 public:
  /// All of it outlives the probe. `frozen` has the units of backbone_part().
  struct Backbone {
    const Qwen3Classifier& model;
    Weights& frozen;
  };

  /// `norm`, if any, stands between features and head.
  LinearProbe(const Backbone& backbone, std::int64_t num_classes, FeatureNorm* norm)
      : backbone_(backbone), norm_(norm), params_(build_probe_table(backbone.model.num_features(), num_classes)) {}

  [[nodiscard]] const ParamTable& params() const override { return params_; }

  /// `inputs` are images, or rows of features_BD that the backbone gave for them before. With `keep` the norm takes
  /// the statistics of the batch (and is then collective over the run), without it the running ones.
  at::Tensor forward(const at::Tensor& inputs, Weights& weights, Activations* keep) const override;

  void backward(const at::Tensor& dlogits_BC, Activations& activations, Weights& weights,
                Gradients& gradients) const override;

 private:
  Backbone backbone_;
  FeatureNorm* norm_;
  ParamTable params_;
};

}  // namespace tessera::model

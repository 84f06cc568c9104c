#pragma once

#include "tessera/model/activations.hpp"
#include "tessera/model/param_table.hpp"
#include "tessera/model/parameter_access.hpp"

#include <ATen/core/Tensor.h>

// Shapes: B images, C classes.

namespace tessera::model {

/// What a step trains: from a batch to logits, and back to the gradients of its parameters. Holds no parameters.
/// Stream-ordered on the device's current stream.
class Classifier {
 public:
  Classifier() = default;
  Classifier(const Classifier&) = default;
  Classifier(Classifier&&) = default;
  Classifier& operator=(const Classifier&) = delete;
  Classifier& operator=(Classifier&&) = delete;
  virtual ~Classifier() = default;

  /// What is trained.
  [[nodiscard]] virtual const ParamTable& params() const = 0;

  /// logits_BC in fp32. `images_B3SS` is normalised, in the compute dtype. `keep` receives what backward needs; null
  /// where there will be none.
  virtual at::Tensor forward(const at::Tensor& images_B3SS, Weights& weights, Activations* keep) const = 0;

  /// Every parameter's gradient, given dlogits_BC (fp32). Consumes `activations`.
  virtual void backward(const at::Tensor& dlogits_BC, Activations& activations, Weights& weights,
                        Gradients& gradients) const = 0;
};

}  // namespace tessera::model

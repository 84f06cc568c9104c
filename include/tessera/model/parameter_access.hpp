#pragma once

#include "tessera/kernels/gradient.hpp"

#include <ATen/core/Tensor.h>

// How a model meets its parameters. It knows neither ranks nor buckets: whoever holds them implements these two.

namespace tessera::model {

/// Units are indices into ParamTable::units. A unit with columns is a matrix [rows, num_columns]; others are vectors.
class Weights {
 public:
  Weights() = default;
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;
  virtual ~Weights() = default;

  /// The unit's weights, valid for work enqueued from now on (the current stream waits where they are on their way).
  virtual at::Tensor weight(int unit) = 0;
};

class Gradients {
 public:
  Gradients() = default;
  Gradients(const Gradients&) = delete;
  Gradients& operator=(const Gradients&) = delete;
  virtual ~Gradients() = default;

  /// Where the unit's gradient goes. Backward asks once a unit, in reverse order of ParamTable::units within a bucket.
  virtual kernels::GradientTarget target(int unit) = 0;

  /// The work that writes the unit's gradient is enqueued; its reduction may start behind it.
  virtual void ready(int unit) = 0;
};

}  // namespace tessera::model

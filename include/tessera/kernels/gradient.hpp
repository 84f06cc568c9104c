#pragma once

#include <ATen/core/Tensor.h>

namespace tessera::kernels {

/// Where a weight's gradient goes: a view of a bucket. `accumulate` adds to what is there (a later micro-step that is
/// not reduced in between), else it is overwritten.
struct GradientTarget {
  at::Tensor into;
  bool accumulate = false;
};

}  // namespace tessera::kernels

#pragma once

#include "tessera/engine/engine.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/model/classifier.hpp"

#include <ATen/core/Tensor.h>

#include <functional>

namespace tessera::engine {

/// What one micro-step computes on. Shapes: B images of 3 x S x S in the compute dtype; their targets; of a model of L
/// blocks.
struct MicroBatch {
  at::Tensor images_B3SS;
  kernels::Targets targets;
  at::Tensor branch_scales_L2B{};  ///< of stochastic depth, model::draw_branch_scales(); undefined: without it
};

struct StepStats {
  double loss = 0;       ///< mean over all images of the step, all ranks
  double accuracy = 0;   ///< percent of them whose label came first; of mixed images, the first label
  double grad_norm = 0;  ///< before clipping
  bool skipped = false;  ///< not finite: nothing was updated
  std::int64_t num_images = 0;
};

struct StepOptions {
  std::int64_t accumulation_steps = 1;
  double smoothing = 0;
  /// Called as the current stream is handed the end of a part of the step: "data", "forward", "loss", "backward",
  /// "norm" (with the wait for the last reductions) and "update" (with the start of the gathers). For measurements.
  std::function<void(const char* part)> mark{};
  /// Called before parameters and optimizer state change, while the next change is being computed: what still reads
  /// the old ones can be waited for here.
  std::function<void()> before_update{};
};

/// One optimizer step: forward and backward of every micro-batch, reduction, update. `next` gives the micro-batches
/// in order. Collective over the run.
StepStats train_step(const model::Classifier& model, Engine& engine, const kernels::Ops& ops,
                     const StepOptions& options, double lr, const std::function<MicroBatch()>& next);

}  // namespace tessera::engine

#include "tessera/engine/train_step.hpp"

#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

namespace tessera::engine {
namespace {

// [sum of losses, images whose label came first, images], in fp64 on the device.
at::Tensor measure(const at::Tensor& loss_B, const at::Tensor& label_rank_B) {
  const at::Tensor count = at::full({}, static_cast<double>(loss_B.numel()), loss_B.options().dtype(at::kDouble));
  return at::stack({loss_B.to(at::kDouble).sum(), label_rank_B.lt(1).sum().to(at::kDouble), count});
}

}  // namespace

StepStats train_step(const model::Classifier& model, Engine& engine, const kernels::Ops& ops,
                     const StepOptions& options, double lr, const std::function<MicroBatch()>& next) {
  const auto mark = [&options](const char* part) {
    if (options.mark) {
      options.mark(part);
    }
  };
  at::Tensor metrics;
  for (std::int64_t micro = 0; micro < options.accumulation_steps; ++micro) {
    const MicroBatch batch = next();
    mark("data");
    model::Activations activations;
    activations.branch_scales_L2B = batch.branch_scales_L2B;
    const at::Tensor logits_BC = model.forward(batch.images_B3SS, engine.weights(), &activations);
    mark("forward");
    const auto entropy = ops.cross_entropy(logits_BC, batch.targets, options.smoothing);
    mark("loss");
    engine.begin_micro_step(micro);
    model.backward(entropy.dlogits_BC, activations, engine.weights(), engine.gradients());
    mark("backward");
    const at::Tensor measured = measure(entropy.loss_B, ops.label_rank(logits_BC, batch.targets.labels_B));
    metrics = metrics.defined() ? metrics.add_(measured) : measured;
  }
  const StepOutcome outcome = engine.finish_step(lr, metrics, [&] {
    mark("norm");
    if (options.before_update) {
      options.before_update();
    }
  });
  mark("update");
  const double images = outcome.metrics[2];
  return {outcome.metrics[0] / images, 100 * outcome.metrics[1] / images, outcome.grad_norm, outcome.skipped,
          static_cast<std::int64_t>(images)};
}

}  // namespace tessera::engine

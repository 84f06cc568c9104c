#include "train/evaluation.hpp"

#include "train/meters.hpp"

#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <vector>

namespace tessera::train {

Evaluation evaluate_dataset(const model::Qwen3Classifier& model, model::Weights& weights, const data::Dataset& dataset,
                            const data::LoaderSpec& spec, const Platform& platform) {
  const Stopwatch watch;
  data::Loader loader = data::make_evaluation_loader(dataset, *platform.ops, spec);
  // Sum of losses, images with the label first, among the first five, all.
  at::Tensor sums = at::zeros({4}, at::TensorOptions().dtype(at::kDouble).device(platform.device));
  while (const std::optional<data::Batch> batch = loader.next()) {
    const at::Tensor logits_BC = model.forward(batch->images_B3SS, weights, nullptr);
    const auto entropy = platform.ops->cross_entropy(logits_BC, batch->labels_B, 0.0);
    const auto counts = platform.ops->count_top_k(logits_BC, batch->labels_B);
    const at::Tensor images = at::full({}, static_cast<double>(batch->labels_B.numel()), sums.options());
    sums += at::stack(
        {entropy.loss_B.to(at::kDouble).sum(), counts.top1.to(at::kDouble), counts.top5.to(at::kDouble), images});
  }
  const at::Tensor on_host = sums.cpu();
  std::vector<double> totals(on_host.const_data_ptr<double>(), on_host.const_data_ptr<double>() + on_host.numel());
  platform.mesh.world.sum(totals);
  return {totals[0] / totals[3], 100 * totals[1] / totals[3], 100 * totals[2] / totals[3],
          static_cast<std::int64_t>(totals[3]), watch.seconds()};
}

}  // namespace tessera::train

#include "train/evaluation.hpp"

#include "train/meters.hpp"
#include "train/progress_line.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <tuple>
#include <utility>

// Shapes: B images of a batch, C classes, N images of this rank, F figures of an image.

namespace tessera::train {
namespace {

using report::ImageOutcome;

constexpr double kStatusSeconds = 0.1;

std::int64_t ceil_divide(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

// figures_BF: prediction, its probability, the label's rank and the loss, in fp64, which holds all of them exactly.
at::Tensor figures_of(const at::Tensor& logits_BC, const at::Tensor& labels_B, const kernels::Ops& ops) {
  const auto [log_probability_B, prediction_B] = at::log_softmax(logits_BC, 1).max(1);
  return at::stack({prediction_B.to(at::kDouble), log_probability_B.exp().to(at::kDouble),
                    ops.label_rank(logits_BC, labels_B).to(at::kDouble),
                    ops.cross_entropy(logits_BC, {labels_B}, 0.0).loss_B.to(at::kDouble)},
                   1);
}

std::vector<ImageOutcome> to_outcomes(const std::vector<std::int64_t>& indices, const std::vector<at::Tensor>& figures,
                                      const data::Dataset& dataset) {
  std::vector<ImageOutcome> outcomes;
  if (figures.empty()) {
    return outcomes;
  }
  const at::Tensor figures_NF = at::cat(figures).cpu();  // the one wait for the device
  const auto* row = figures_NF.const_data_ptr<double>();
  for (const std::int64_t index : indices) {
    const bool finite = std::isfinite(row[1]);
    outcomes.push_back({index, static_cast<std::int32_t>(dataset.label(index)),
                        finite ? static_cast<std::int32_t>(row[0]) : -1, static_cast<std::int32_t>(row[2]),
                        static_cast<float>(row[1]), static_cast<float>(row[3])});
    row += figures_NF.size(1);
  }
  return outcomes;
}

// Every rank's outcomes, by index, on every rank.
std::vector<ImageOutcome> gather(const std::vector<ImageOutcome>& mine, const topology::Group& world) {
  std::vector<ImageOutcome> all;
  const std::string bytes(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(ImageOutcome));
  for (const std::string& part : world.gather(bytes)) {
    const std::size_t before = all.size();
    all.resize(before + part.size() / sizeof(ImageOutcome));
    if (!part.empty()) {
      std::memcpy(&all[before], part.data(), part.size());
    }
  }
  std::ranges::sort(all, std::ranges::less(), &ImageOutcome::index);
  return all;
}

}  // namespace

std::optional<EvaluatedSet> evaluate_dataset(const EvaluationParts& parts) {
  const Stopwatch watch;
  Stopwatch since_status;
  const Platform& platform = parts.platform;
  data::Loader loader = data::make_evaluation_loader(parts.dataset, *platform.ops, parts.spec);
  std::vector<std::int64_t> indices;
  std::vector<at::Tensor> figures;
  const std::int64_t num_rounds = ceil_divide(parts.dataset.size(), parts.spec.batch_size * platform.world());
  for (std::int64_t round = 0; round < num_rounds; ++round) {
    if (const std::optional<data::Batch> batch = loader.next()) {  // some ranks may have one less
      const at::Tensor logits_BC = parts.model.forward(batch->images_B3SS, parts.weights, nullptr);
      figures.push_back(figures_of(logits_BC, batch->labels_B, *platform.ops));
      indices.insert(indices.end(), batch->indices.begin(), batch->indices.end());
    }
    if (parts.stops_here && parts.stops_here()) {
      return std::nullopt;
    }
    if (parts.log.is_live() && since_status.seconds() > kStatusSeconds) {
      const auto done = static_cast<std::int64_t>(indices.size()) * platform.world();
      parts.log.status(
          live_bar("test", std::min(done, parts.dataset.size()), parts.dataset.size(), style_of(parts.log.terminal())));
      since_status.restart();
    }
  }
  EvaluatedSet set;
  set.outcomes = gather(to_outcomes(indices, figures, parts.dataset), platform.mesh.world);
  set.summary = report::summarize(set.outcomes, parts.dataset.class_names());
  set.summary.seconds = watch.seconds();
  return set;
}

}  // namespace tessera::train

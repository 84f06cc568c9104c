#include "train/plan_scaling.hpp"

#include "tessera/core/table.hpp"
#include "tessera/core/units.hpp"

#include <fmt/core.h>

#include <cmath>

namespace tessera::train {

Scaling predict_scaling(const config::PlanConfig& asked, const engine::StepOnOneGpu& step, double rank_tokens) {
  engine::Fabric fabric;
  fabric.gpus_per_node = asked.gpus_per_node;
  fabric.gpu_rate = static_cast<double>(asked.gpu_link->bytes);
  fabric.node_rate = static_cast<double>(asked.node_link->bytes);
  Scaling scaling{step.num_buckets, {}};
  for (const int world : {1, 8, 16, 32, 64, 128, 256, 512, 1024}) {
    const engine::PredictedStep predicted = engine::predict_step(step, fabric, world);
    scaling.rows.push_back({world, predicted, world * rank_tokens / predicted.seconds});
  }
  return scaling;
}

std::string to_text(const Scaling& scaling) {
  core::Table table({{"GPUs", true},
                     {"ms a step", true},
                     {"reduce", true},
                     {"gather", true},
                     {"not hidden", true},
                     {"of one GPU's rate", true},
                     {"tokens/s", true}});
  const auto millis = [](double seconds) { return fmt::format("{:.1f}", seconds * 1e3); };
  for (const ScalingRow& row : scaling.rows) {
    table.add({core::format_count(row.world), millis(row.step.seconds), millis(row.step.reduction),
               millis(row.step.gather), millis(row.step.exposed), fmt::format("{:.1f} %", 100 * row.step.efficiency),
               core::format_count(std::llround(row.tokens_per_second))});
  }
  std::string text = fmt::format("  predicted, with {} buckets, by the model in docs/scaling.md:\n{}",
                                 scaling.num_buckets, table.text(2));
  text.pop_back();
  return text;
}

}  // namespace tessera::train

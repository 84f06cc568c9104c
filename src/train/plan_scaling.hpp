#pragma once

#include "tessera/config/command_line.hpp"
#include "tessera/engine/scaling_model.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::train {

/// A run at some number of GPUs, each with the images of one.
struct ScalingRow {
  int world = 1;
  engine::PredictedStep step;
  double tokens_per_second = 0;  ///< of all ranks
};

struct Scaling {
  std::int64_t num_buckets = 0;
  std::vector<ScalingRow> rows;  ///< empty: no rate is known
};

/// Steps at 1, 8, 16, ... 1,024 GPUs by engine::predict_step(), on the fabric that the flags say. `rank_tokens` are
/// those of a rank's step.
Scaling predict_scaling(const config::PlanConfig& asked, const engine::StepOnOneGpu& step, double rank_tokens);

/// A table for people, two spaces before each line, no line break at the end.
std::string to_text(const Scaling& scaling);

}  // namespace tessera::train

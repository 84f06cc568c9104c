#pragma once

#include "tessera/config/run_config.hpp"
#include "train/platform.hpp"

#include <array>
#include <cstdint>
#include <string>

namespace tessera::train {

/// A fine-tuning on GPUs of `gpu_bytes`.
struct PlanQuestion {
  const config::RunConfig& config;
  std::int64_t num_classes = 0;
  int world = 1;
  c10::Device device = c10::kCUDA;
  at::ScalarType compute = at::kBFloat16;
  std::int64_t gpu_bytes = 0;
};

/// What else would fit, each answer with everything but the one thing as it is asked.
struct PlanAnswers {
  std::int64_t largest_batch = 0;  ///< images of a rank and micro-step; 0: not even one fits
  int least_ranks = 0;             ///< 0: no number of ranks is enough
  /// Bytes of a rank with --gradient_checkpointing none, feed_forward and block.
  std::array<std::int64_t, 3> bytes_by_checkpointing{};
  /// With --offload_optimizer cpu (at stage 2 where the run has stage 0): of the GPU, and of host memory.
  std::int64_t offloaded_bytes = 0;
  std::int64_t offloaded_host_bytes = 0;
};

/// A pure function: needs no device and no MPI.
PlanAnswers answers_to(const PlanQuestion& question);

/// For people, two spaces before each line, no line break at the end.
std::string to_text(const PlanAnswers& answers, std::int64_t gpu_bytes);

}  // namespace tessera::train

#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

namespace tessera::engine {

/// AdamW's numbers; the learning rate comes with each step.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.05;  ///< of parameters that decay
  double layer_decay = 1.0;    ///< learning rate x layer_decay^(greatest depth - depth)
};

struct EngineOptions {
  int zero_stage = 0;  ///< 0: all replicated; 1: optimizer state sharded; 2: gradients too
  c10::Device device = c10::kCPU;
  at::ScalarType compute = at::kFloat;  ///< of weights and gradients: fp32 or bf16
  at::ScalarType wire = at::kFloat;     ///< of gradients between ranks
  std::int64_t bucket_elements = 50'000'000;
  std::int64_t accumulation_steps = 1;
  bool overlap = true;
  bool reduce_at_boundary = false;  ///< stage 2: keep local gradients over the micro-steps, reduce once
  double clip_norm = 0;             ///< bound on the global L2 norm; 0: none
  std::int64_t max_skipped_in_a_row = 20;
  AdamWOptions adamw;
};

}  // namespace tessera::engine

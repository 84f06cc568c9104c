#pragma once

#include "tessera/config/run_config.hpp"
#include "tessera/core/scale_blocks.hpp"

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

namespace tessera::engine {

/// How parameters are updated; the learning rate comes with each step. Decay is of parameters that decay.
struct OptimizerOptions {
  config::OptimizerKind kind = config::OptimizerKind::kAdamW;
  double beta1 = 0.9;  ///< AdamW
  double beta2 = 0.95;
  double eps = 1e-8;
  double momentum = 0.9;             ///< SGD, LARS
  double trust_coefficient = 0.001;  ///< LARS
  double weight_decay = 0.05;        ///< AdamW: decoupled; SGD and LARS: part of the gradient
  double layer_decay = 1.0;          ///< learning rate x layer_decay^(greatest depth - depth)
  config::StateDType state_dtype = config::StateDType::kFloat32;  ///< of the moments
};

/// Numbers per parameter that the optimizer keeps besides the master weight.
constexpr std::int64_t num_moments(config::OptimizerKind kind) { return kind == config::OptimizerKind::kAdamW ? 2 : 1; }

/// Bytes of one moment of so many parameters.
constexpr std::int64_t moment_bytes(config::StateDType dtype, std::int64_t num_elements) {
  if (dtype == config::StateDType::k8Bit) {
    return num_elements + 4 * core::num_scale_blocks(num_elements);
  }
  return num_elements * (dtype == config::StateDType::kFloat32 ? 4 : 2);
}

struct EngineOptions {
  int zero_stage = 0;  ///< 0: all replicated; 1: optimizer state sharded; 2: gradients too
  c10::Device device = c10::kCPU;
  at::ScalarType compute = at::kFloat;  ///< of weights and gradients: fp32 or bf16
  at::ScalarType wire = at::kFloat;     ///< of gradients between ranks
  std::int64_t bucket_elements = 50'000'000;
  std::int64_t accumulation_steps = 1;
  bool overlap = true;
  bool reduce_at_boundary = false;  ///< stage 2: keep local gradients over the micro-steps, reduce once
  /// Stages 1 and 2: the share of the optimizer's state that lives in host memory, where the device updates it. Of
  /// whole buckets: num_offloaded_buckets().
  double offload = 0;
  bool offload_gradients = false;  ///< of these buckets, too: less of the device's memory, more traffic
  std::int64_t offload_chunk_bytes = std::int64_t{64} << 20U;  ///< at most, that cross the bus at a time
  double clip_norm = 0;                                        ///< bound on the global L2 norm; 0: none
  std::int64_t max_skipped_in_a_row = 20;
  OptimizerOptions optimizer;
  double average_decay = 0;  ///< of the exponential moving averages of the parameters; 0: none are kept

  [[nodiscard]] bool averages() const { return average_decay > 0; }
  /// Bytes of what is kept of `num_elements` parameters besides their master weights: the moments, and the averages.
  [[nodiscard]] std::int64_t state_bytes(std::int64_t num_elements) const {
    return state_bytes(num_elements, optimizer.state_dtype);
  }
  /// These and the lower halves of the master weights: what offload moves, without gradients.
  [[nodiscard]] std::int64_t optimizer_bytes(std::int64_t num_elements) const {
    return num_elements * (compute == at::kFloat ? 0 : 2) + state_bytes(num_elements);
  }
  /// state_bytes() in a checkpoint, which has the numbers that moments in 8 bits stand for.
  [[nodiscard]] std::int64_t stored_state_bytes(std::int64_t num_elements) const {
    const bool is_coded = optimizer.state_dtype == config::StateDType::k8Bit;
    return state_bytes(num_elements, is_coded ? config::StateDType::kFloat32 : optimizer.state_dtype);
  }

 private:
  [[nodiscard]] std::int64_t state_bytes(std::int64_t num_elements, config::StateDType of_moments) const {
    return num_moments(optimizer.kind) * moment_bytes(of_moments, num_elements) + (averages() ? 4 * num_elements : 0);
  }
};

}  // namespace tessera::engine

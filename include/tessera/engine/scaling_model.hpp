#pragma once

#include <cstdint>

namespace tessera::engine {

/// What connects GPUs: bytes/s in one direction and seconds of a message.
struct Fabric {
  int gpus_per_node = 8;
  double gpu_rate = 450e9;     ///< of a GPU within its node: NVLink 4 (NVIDIA H100 data sheet: 900 GB/s both ways)
  double node_rate = 50e9;     ///< of the network, a GPU: one 400 Gb/s port each (InfiniBand NDR)
  double efficiency = 0.8;     ///< of these rates that collectives reach
  double gpu_latency = 2e-6;   ///< of a step of a ring within the node
  double node_latency = 6e-6;  ///< of one that crosses the network
};

/// A step on one GPU, and what ranks tell each other in it.
struct StepOnOneGpu {
  double seconds = 0;  ///< of one micro-step with its part of the optimizer
  std::int64_t micro_steps = 1;
  double gradient_bytes = 0;   ///< on the wire, of a whole reduction
  double parameter_bytes = 0;  ///< of a whole gather
  std::int64_t num_buckets = 1;
  int zero_stage = 2;
  bool reduce_at_boundary = false;
  bool overlap = true;
};

struct PredictedStep {
  double seconds = 0;
  double reduction = 0;   ///< seconds of the network for gradients, hidden or not
  double gather = 0;      ///< for parameters
  double exposed = 0;     ///< of both and of the norm's exchange, what computation does not hide
  double efficiency = 0;  ///< a rank's share of the rate of one GPU alone: weak scaling
};

/// The time of an optimizer step on `world` GPUs, each with the images of one.
///
/// A collective over n ranks and b bytes is a ring: (n - 1) / n b / B and a latency a step, where B is the rate of a
/// GPU within the node or, over nodes, the less of that and of all the node's ports (each of as many rings uses one
/// port). Backward, two thirds of a micro-step, hides the reduction of all buckets but the last; forward, one third,
/// hides the gather of all but the first (engine.md, "A step"). What does not fit behind them, and the norm's exchange
/// (a tree both ways), is added. ZeRO's saving in the optimizer's time is not counted, nor what the collectives'
/// kernels take from the products.
PredictedStep predict_step(const StepOnOneGpu& step, const Fabric& fabric, int world);

}  // namespace tessera::engine

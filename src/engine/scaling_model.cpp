#include "tessera/engine/scaling_model.hpp"

#include <algorithm>
#include <cmath>

namespace tessera::engine {
namespace {

bool one_node(const Fabric& fabric, int world) { return world <= fabric.gpus_per_node; }

// What a GPU's share of a ring carries.
double ring_rate(const Fabric& fabric, int world) {
  const double ports = fabric.gpus_per_node * fabric.node_rate;
  return fabric.efficiency * (one_node(fabric, world) ? fabric.gpu_rate : std::min(fabric.gpu_rate, ports));
}

// Once around: each node's border is crossed once.
double ring_latency(const Fabric& fabric, int world) {
  if (one_node(fabric, world)) {
    return (world - 1) * fabric.gpu_latency;
  }
  const double borders = std::ceil(static_cast<double>(world) / fabric.gpus_per_node);
  return borders * fabric.node_latency + (world - borders) * fabric.gpu_latency;
}

double ring_seconds(const Fabric& fabric, int world, double bytes, std::int64_t num_buckets) {
  return (world - 1.0) / world * bytes / ring_rate(fabric, world) +
         static_cast<double>(num_buckets) * ring_latency(fabric, world);
}

// What is left of `network` where `compute` hides all buckets but one.
double exposed_part(double network, double compute, const StepOnOneGpu& step) {
  if (!step.overlap) {
    return network;
  }
  const double one_bucket = network / static_cast<double>(step.num_buckets);
  return one_bucket + std::max(0.0, network - one_bucket - compute);
}

}  // namespace

PredictedStep predict_step(const StepOnOneGpu& step, const Fabric& fabric, int world) {
  const auto micro_steps = static_cast<double>(step.micro_steps);
  const double compute = micro_steps * step.seconds;
  PredictedStep predicted{compute, 0, 0, 0, 1};
  if (world == 1) {
    return predicted;
  }
  const double forward = step.seconds / 3;
  const double backward = 2 * step.seconds / 3;
  const double once = ring_seconds(fabric, world, step.gradient_bytes, step.num_buckets);
  const bool every_micro_step = step.zero_stage == 2 && !step.reduce_at_boundary;
  const double reductions = every_micro_step ? micro_steps : 1;
  // Stage 0 reduces everything to everybody: a ring twice. Others gather what they updated.
  const double reduction = step.zero_stage == 0 ? 2 * once : once;
  predicted.reduction = reductions * reduction;
  predicted.gather = step.zero_stage == 0 ? 0 : ring_seconds(fabric, world, step.parameter_bytes, step.num_buckets);
  const double hop = one_node(fabric, world) ? fabric.gpu_latency : fabric.node_latency;
  const double norm = 2 * std::ceil(std::log2(world)) * hop;
  predicted.exposed = reductions * exposed_part(reduction, backward, step) +
                      (predicted.gather > 0 ? exposed_part(predicted.gather, forward, step) : 0) + norm;
  predicted.seconds = compute + predicted.exposed;
  predicted.efficiency = compute / predicted.seconds;
  return predicted;
}

}  // namespace tessera::engine

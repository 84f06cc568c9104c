#include "engine/gradient_buckets.hpp"

#include <utility>

namespace tessera::engine {

Part owned_part(const EngineOptions& options) { return options.zero_stage == 0 ? Part::kWhole : Part::kShard; }

std::int64_t ring_size(const EngineOptions& options) { return options.overlap ? 3 : 2; }

at::ScalarType arriving_gradient_type(const EngineOptions& options, int world) {
  return world == 1 ? options.compute : options.wire;
}

at::ScalarType kept_gradient_type(const EngineOptions& options, int world) {
  return options.accumulation_steps == 1 ? arriving_gradient_type(options, world) : at::kFloat;
}

GradientStrategy choose_gradient_strategy(const EngineOptions& options, int world) {
  const bool offloads_gradients = options.offload > 0 && options.offload_gradients;
  if (offloads_gradients || (options.zero_stage == 2 && world > 1 && !options.reduce_at_boundary)) {
    return GradientStrategy::kPartitioned;
  }
  const bool adds_up_in_place = options.compute == at::kFloat || options.accumulation_steps == 1;
  const bool wire_is_the_same = options.wire == options.compute || world == 1;
  return adds_up_in_place && wire_is_the_same ? GradientStrategy::kDirect : GradientStrategy::kAccumulated;
}

std::unique_ptr<GradientBuckets> make_gradient_buckets(const Context& context, LeavingShardWork work) {
  switch (choose_gradient_strategy(context.options, context.layout.world)) {
    case GradientStrategy::kDirect:
      return make_direct_gradients(context);
    case GradientStrategy::kAccumulated:
      return make_accumulated_gradients(context);
    case GradientStrategy::kPartitioned:
      break;
  }
  return make_partitioned_gradients(context, std::move(work));
}

}  // namespace tessera::engine

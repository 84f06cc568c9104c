#pragma once

#include "engine/context.hpp"
#include "engine/parameter_buckets.hpp"
#include "tessera/engine/engine.hpp"
#include "tessera/state/state_view.hpp"

namespace tessera::engine {

/// Weights that are not trained: whole on every rank in the compute dtype, and nothing beside them. Each rank makes,
/// saves and restores its shard.
class WholeWeights final : public model::Weights {
 public:
  /// The table outlives it.
  WholeWeights(const EngineParts& parts, const model::ParamTable& table, const EngineOptions& options);

  /// Collective over the run.
  void load(const FillPiece& fill);
  at::Tensor weight(int unit) override { return parameters_.weight(unit); }

  /// Adds the weights, and this rank's shards of them.
  void describe(state::StateDescription& description) const;
  /// After the shards were restored. Collective over the run.
  void gather();

 private:
  const Context context_;
  ParameterBuckets parameters_;
};

}  // namespace tessera::engine

#pragma once

#include "tessera/checkpoint/reader.hpp"
#include "tessera/engine/engine.hpp"
#include "tessera/model/feature_norm.hpp"
#include "tessera/state/run_state.hpp"
#include "train/frozen_backbone.hpp"
#include "train/platform.hpp"

#include <string>
#include <vector>

namespace tessera::train {

/// The norm before a probe's head, with the statistics of all ranks. `platform` outlives it.
model::FeatureNorm make_feature_norm(std::int64_t num_features, const Platform& platform);

/// Its running statistics as a checkpoint has them: feature_norm.running_mean and feature_norm.running_var.
std::vector<engine::NamedBuffer> buffers_of(const model::FeatureNorm& norm);
bool has_feature_norm(const checkpoint::Reader& reader);
/// Throws UserError where they are of another size.
void read_feature_norm(const checkpoint::Reader& reader, const model::FeatureNorm& norm);

/// Throws UserError unless the backbone is the one that `run` was trained with. `flag` says which it should be.
void require_same_backbone(const FrozenBackbone& backbone, const state::RunState& run, const char* flag);

}  // namespace tessera::train

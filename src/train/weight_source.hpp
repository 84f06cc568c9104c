#pragma once

#include "tessera/core/log.hpp"
#include "tessera/engine/engine.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/model/param_table.hpp"

#include <cstdint>
#include <string>

namespace tessera::train {

/// First values from pretrained files, and random ones for what these lack (patch embedding and head of a language
/// model). Throws UserError as model::PretrainedWeights does.
engine::FillPiece pretrained_source(const std::string& path, const model::ParamTable& table, const kernels::Ops& ops,
                                    std::uint64_t seed, const core::Log& log);

/// Trained values, all of them, from a checkpoint directory, or from what checkpoint::ImportSource reads: consolidated
/// files of every kind, and other programs'. `compute` says which of weight and master to take. Throws UserError where
/// one is missing or damaged.
engine::FillPiece trained_source(const std::string& path, const model::ParamTable& table, at::ScalarType compute);

}  // namespace tessera::train

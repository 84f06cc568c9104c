#pragma once

#include "tessera/config/command_line.hpp"
#include "tessera/core/log.hpp"
#include "tessera/engine/engine.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/model/param_table.hpp"
#include "train/platform.hpp"

#include <cstdint>
#include <string>

namespace tessera::train {

/// First values from pretrained files, and random ones for what these lack (patch embedding and head of a language
/// model). Each node opens the files once. Throws AgreedUserError as model::PretrainedWeights does UserError.
/// Collective over the run.
struct PretrainedSpec {
  std::string path;
  std::uint64_t seed = 0;
};
engine::FillPiece pretrained_source(const PretrainedSpec& spec, const model::ParamTable& table,
                                    const Platform& platform, const core::Log& log);

/// Trained values, all of them, from a checkpoint directory, or from what checkpoint::ImportSource reads: consolidated
/// files of every kind, and other programs'. `compute` says which of weight and master to take; `averages`, of a
/// checkpoint alone, stand in for both. Throws UserError where one is missing or damaged.
engine::FillPiece trained_source(const std::string& path, const model::ParamTable& table, at::ScalarType compute,
                                 bool averages);

constexpr const char* kRandomBackbone = "random";

/// Values of a backbone alone, from anything that holds one: a checkpoint of ours, a file or directory of weights of
/// any kind, a language model, or "random". A head in it is passed over, of whatever size. Where there is no patch
/// embedding it gets random values, and a warning says so. Throws UserError as the others do.
struct BackboneSpec {
  std::string path;  ///< or kRandomBackbone
  at::ScalarType compute = at::kFloat;
  std::uint64_t seed = 0;
  bool averages = false;  ///< as trained_source()'s
};
engine::FillPiece backbone_source(const BackboneSpec& spec, const model::ParamTable& table, const kernels::Ops& ops,
                                  const core::Log& log);

/// What the weights' files say of the run that made them: ours say it all, others have at best a config.json beside
/// them.
config::RecordedRun recorded_run(const std::string& path);

}  // namespace tessera::train

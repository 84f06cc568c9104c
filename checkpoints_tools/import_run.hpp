#pragma once

#include "tessera/checkpoint/import.hpp"
#include "tessera/config/model_shape.hpp"
#include "tessera/state/run_state.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tessera::tools {

/// What the flags of `import` say of the run; they go before what the source says.
struct ImportFlags {
  std::optional<std::string> model_config;
  std::optional<std::string> dataset;
  std::optional<std::int64_t> dataset_size;
  std::optional<std::int64_t> input_size;
  std::optional<std::int64_t> train_batch_size;
  std::optional<std::int64_t> epochs;
  std::optional<double> warmup_epochs;
  std::optional<double> blr;
  std::optional<double> lr;
  std::optional<double> min_lr;
  std::uint64_t seed = 0;
};

/// What is imported, as a run of ours stands.
struct ImportedRun {
  state::RunState run;
  std::vector<checkpoint::NamedShape> parameters;  ///< that the model trains
};

/// Puts flags and source together. Throws one UserError that names every flag that is missing, or what does not fit.
/// `path` is the source's, beside which a config.json may lie.
ImportedRun assemble_run(const checkpoint::ImportSource& source, const ImportFlags& flags, const std::string& path);

}  // namespace tessera::tools

#pragma once

#include "tessera/config/run_config.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tessera::config {

/// What a run knows about itself besides its settings, for args.json.
struct RunFacts {
  int world_size = 1;
  std::vector<std::string> hosts;                             ///< one name per node
  std::vector<std::pair<std::string, std::string>> versions;  ///< of the program and its libraries
};

/// The text of args.json: every setting under its flag's name, the model's shape, and `facts`.
std::string to_json(const RunConfig& config, const RunFacts& facts);

/// The DeepSpeed-shaped JSON that --config would need for this run: every key that is honoured, at its value. Only with
/// the number of ranks does it tell train_batch_size; what is decided when the run starts stays "auto".
std::string effective_deepspeed_json(const RunConfig& config, std::optional<int> world_size);

}  // namespace tessera::config

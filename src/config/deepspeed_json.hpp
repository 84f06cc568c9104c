#pragma once

#include "config/problems.hpp"
#include "config/settings.hpp"

#include <string>
#include <vector>

namespace tessera::config {

/// A DeepSpeed-shaped JSON on its way into the settings.
struct JsonSource {
  std::string text;
  std::string name;  ///< what messages call it
};

/// Sets every setting that the JSON gives a value; "auto" leaves it as the flags have it. Unknown keys (with the
/// nearest known one), values that this program does not honour, and numbers that disagree with a flag that was given
/// (one in `origins`) go to `problems`. Adds what the JSON set to `origins`. Settles in `data` which part of
/// train_batch_size = batch_size x accum_iter x ranks is still to be worked out.
void apply_deepspeed_json(const JsonSource& source, const std::vector<Setting>& settings, DataConfig& data,
                          Origins& origins, Problems& problems);

}  // namespace tessera::config

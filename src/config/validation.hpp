#pragma once

#include "config/problems.hpp"
#include "config/settings.hpp"

#include <vector>

namespace tessera::config {

/// What a check looks at: the command as read, how each setting was given, and where problems go.
struct Checked {
  Command& command;
  const Origins& origins;
  Problems& problems;

  [[nodiscard]] bool given(std::string_view name) const { return origins.contains(name); }
  /// "--lr", or the JSON key that gave it; the flag's name where it was not given.
  [[nodiscard]] std::string called(std::string_view name) const;
};

/// Values against the ranges in describe().
void check_ranges(const std::vector<Setting>& settings, Checked checked);

/// What a verb cannot do without.
void check_required(const std::vector<Setting>& settings, Checked checked);

/// Works out the model's shape from --pretrained_model_path or --model_config, and checks what is asked of them.
void settle_model(Checked checked);

/// Settings against each other and against the file system.
void check_settings(Checked checked);

/// What only `tessera plan` is asked, and flags that have no effect on what it answers.
void check_plan(Checked checked);

/// What `tessera compare` and `tessera report` are asked, which have no settings of a run.
void check_runs(Checked checked);

/// Reads --aa, and checks what concerns the augmentation alone: flags that have no effect beside each other.
void check_augment(Checked checked);

/// Whether the images of a micro-batch can be mixed in pairs; `problems` hears of it.
void check_pairs(const RunConfig& config, Problems& problems);

/// Whether the image divides into patches, and the patches fit the model; `problems` hears of it.
void check_geometry(const RunConfig& config, Problems& problems);

}  // namespace tessera::config

#pragma once

#include "config/problems.hpp"
#include "config/settings.hpp"

#include <map>
#include <string>
#include <vector>

namespace tessera::config {

/// Settings that were given as flags: name to text. Old names are replaced by the new ones, switches have no text.
using GivenFlags = std::map<std::string, std::string>;

struct GivenWords {
  GivenFlags flags;
  std::vector<std::string> operands;  ///< words that are no flags
};

/// Splits the words after the verb. Unknown flags (with the nearest known one), flags of other verbs, flags that this
/// program refuses, missing and superfluous values, repetitions, stray words, and too few or too many operands go to
/// `problems`.
GivenWords read_flags(const std::vector<std::string>& words, const VerbInfo& verb, const std::vector<Setting>& settings,
                      Problems& problems);

/// The flags of `verb` by group, with defaults and texts.
std::string flags_help(const VerbInfo& verb, const std::vector<Setting>& settings);

}  // namespace tessera::config

#pragma once

#include "config/settings.hpp"

#include <string>

namespace tessera::config {

/// `tessera --help`.
std::string program_help();

/// `tessera VERB --help`: usage, examples, every flag, and for training the keys of --config.
std::string verb_help(const VerbInfo& verb);

}  // namespace tessera::config

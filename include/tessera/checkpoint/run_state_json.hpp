#pragma once

#include "tessera/state/run_state.hpp"

#include <string>
#include <string_view>

namespace tessera::checkpoint {

/// Under this key of a .safetensors file's metadata, consolidate() leaves the run that made it, as to_json() gives it.
inline constexpr const char* kRunMetadata = "tessera_run";

/// One JSON object, one key per field of RunState under its own name. Numbers come back bit for bit. Throws Error where
/// a number is not finite or a text is not UTF-8, which JSON cannot hold.
std::string to_json(const state::RunState& run);

/// The reverse; `source` names the text in messages. Keys that are unknown are skipped, so that a newer program may
/// add some. Throws UserError that names each key that is missing or of the wrong type.
state::RunState run_state_from_json(std::string_view text, const std::string& source);

}  // namespace tessera::checkpoint

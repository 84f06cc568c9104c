#pragma once

#include <string_view>
#include <vector>

namespace tessera::config {

/// A key (or a whole section) of DeepSpeed's JSON that sets nothing here: accepted at the values that say what this
/// program always does, refused with the reason at others. Keys that do set something are in describe().
struct FixedKey {
  std::string_view path;  ///< dotted; a '*' at the end stands for anything
  /// For a section: the key in it that turns it on; `allowed` are the values that leave it off, and so does its
  /// absence.
  std::string_view gate;
  std::string_view allowed;  ///< JSON texts separated by '|'; null is always allowed; "*" allows everything
  std::string_view reason;
};

const std::vector<FixedKey>& fixed_keys();

}  // namespace tessera::config

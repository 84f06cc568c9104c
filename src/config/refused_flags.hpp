#pragma once

#include "config/settings.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace tessera::config {

/// A flag that users bring from elsewhere and that would have no effect here. It is accepted at the value that says so,
/// refused with the reason at any other, and not shown by --help.
struct RefusedFlag {
  std::string_view name;
  bool takes_value;
  /// The values that change nothing, separated by '|' (numbers are compared as numbers). A switch is accepted where
  /// this is "on", which means that the program always does what it asks.
  std::string_view neutral;
  std::string_view reason;
  unsigned verbs = kForAll;
};

const std::vector<RefusedFlag>& refused_flags();

/// Whether `value` is one of the flag's neutral values.
bool is_neutral(const RefusedFlag& flag, std::string_view value);

}  // namespace tessera::config

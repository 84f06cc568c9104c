#pragma once

#include <nlohmann/json.hpp>

#include <cstdio>

namespace tessera::tools {

/// A verb's answer for programs, on stdout. Paths may hold any bytes; those that are not UTF-8 are shown as U+FFFD.
inline void put_json(const nlohmann::ordered_json& answer) {
  std::printf("%s\n", answer.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
}

}  // namespace tessera::tools

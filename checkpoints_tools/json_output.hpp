#pragma once

#include <cstdio>

namespace tessera::tools {

/// A verb's answer for programs (an object of nlohmann's JSON), on stdout. Paths may hold any bytes; those that are not
/// UTF-8 are shown as U+FFFD.
template <class Json>
void put_json(const Json& answer) {
  std::printf("%s\n", answer.dump(1, ' ', false, Json::error_handler_t::replace).c_str());
}

}  // namespace tessera::tools

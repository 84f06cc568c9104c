#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tessera::train {

/// Names and versions of the program and of the libraries it runs with.
std::vector<std::pair<std::string, std::string>> library_versions();

}  // namespace tessera::train

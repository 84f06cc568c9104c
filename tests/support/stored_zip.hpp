#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tessera::test {

/// A zip archive of files as they are, byte by byte from the specification. With `zip64`, every size and offset stands
/// in the ZIP64 fields, as in archives of more than 4 GB.
std::string stored_zip(const std::vector<std::pair<std::string, std::string>>& files, bool zip64 = false);

}  // namespace tessera::test

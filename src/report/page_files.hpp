#pragma once

#include <string_view>

namespace tessera::report {

/// The text of a file of src/report/page/, which the build puts into the program (cmake/EmbedFiles.cmake). Throws
/// core::Error where there is none of this name.
std::string_view page_file(std::string_view name);

}  // namespace tessera::report

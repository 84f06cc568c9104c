# Run by cmake -P: writes OUTPUT, a C++ source that defines tessera::report::page_file() with the text of each of FILES.
set(entries "")
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  file(READ ${file} text)
  string(APPEND entries "      {\"${name}\", R\"embedded(${text})embedded\"},\n")
endforeach()
file(WRITE ${OUTPUT} "// Made from src/report/page/ by cmake/EmbedFiles.cmake.
#include \"report/page_files.hpp\"
#include \"tessera/core/error.hpp\"

#include <utility>

namespace tessera::report {

std::string_view page_file(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> kFiles[] = {
${entries}  };
  for (const auto& [known, text] : kFiles) {
    if (known == name) {
      return text;
    }
  }
  core::fail(\"report\", \"the page has no part '{}'\", name);
}

}  // namespace tessera::report
")

#include "tessera/report/page.hpp"

#include "report/page_files.hpp"

#include <string_view>

namespace tessera::report {
namespace {

// JSON that can stand inside a <script>: "<" begins no tag where it is written as JSON's escape.
std::string for_script(const std::string& json) {
  std::string text;
  text.reserve(json.size());
  for (const char letter : json) {
    if (letter == '<') {
      text += "\\u003c";
    } else {
      text += letter;
    }
  }
  return text;
}

}  // namespace

// What stands between double braces in page.html is the name of a file, or "data".
std::string to_page(const std::string& data) {
  std::string page;
  std::string_view rest = page_file("page.html");
  for (std::size_t start = rest.find("{{"); start != std::string_view::npos; start = rest.find("{{")) {
    const std::size_t end = rest.find("}}", start);
    const std::string_view name = rest.substr(start + 2, end - start - 2);
    page += rest.substr(0, start);
    page += name == "data" ? for_script(data) : std::string(page_file(name));
    rest.remove_prefix(end + 2);
  }
  return page += rest;
}

}  // namespace tessera::report

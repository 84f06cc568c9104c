#include "config/problems.hpp"

#include "tessera/core/error.hpp"

namespace tessera::config {

void Problems::raise(std::string_view title) const {
  if (list_.empty()) {
    return;
  }
  if (list_.size() == 1) {
    core::fail<core::UserError>("config", "{}", list_.front());
  }
  std::string text;
  for (std::size_t i = 0; i < list_.size(); ++i) {
    text += fmt::format("\n  {}. {}", i + 1, list_[i]);
  }
  core::fail<core::UserError>("config", "{}: {} problems:{}", title, list_.size(), text);
}

}  // namespace tessera::config

#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::config {

/// Collects what is wrong, so that a user hears of all of it at once.
class Problems {
 public:
  template <class... Args>
  void add(fmt::format_string<Args...> text, Args&&... args) {
    list_.push_back(fmt::format(text, std::forward<Args>(args)...));
  }

  [[nodiscard]] bool empty() const { return list_.empty(); }
  [[nodiscard]] const std::vector<std::string>& list() const { return list_; }

  /// Throws UserError: the one problem, or `title` and a numbered list. Does nothing where there is none.
  void raise(std::string_view title) const;

 private:
  std::vector<std::string> list_;
};

}  // namespace tessera::config

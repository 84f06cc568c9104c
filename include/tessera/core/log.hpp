#pragma once

#include "tessera/core/error.hpp"

#include <string_view>

namespace tessera::core {

/// Lines for people, on stderr. One value is made in main and passed down; ranks other than 0 get a silent one.
class Log {
 public:
  enum class Level { kSilent, kWarnings, kAll };

  explicit Log(Level level) : level_(level) {}

  template <class... Args>
  void info(fmt::format_string<Args...> text, Args&&... args) const {
    if (level_ == Level::kAll) {
      write(fmt::format(text, std::forward<Args>(args)...));
    }
  }
  template <class... Args>
  void warn(fmt::format_string<Args...> text, Args&&... args) const {
    if (level_ != Level::kSilent) {
      write("warning: " + fmt::format(text, std::forward<Args>(args)...));
    }
  }

  /// A line that the next one replaces, where stderr is a terminal and everything is shown; else nothing.
  void status(std::string_view line) const;

  [[nodiscard]] bool shows_everything() const { return level_ == Level::kAll; }
  /// Whether stderr is a terminal: only there may a line be replaced.
  static bool is_terminal();

 private:
  static void write(std::string_view line);

  Level level_;
};

}  // namespace tessera::core

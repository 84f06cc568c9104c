#pragma once

#include "tessera/core/error.hpp"
#include "tessera/core/terminal.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace tessera::core {

/// Lines for people, on stderr. One value is made in main and passed down; ranks other than 0 get a silent one.
class Log {
 public:
  enum class Level { kSilent, kWarnings, kAll };

  explicit Log(Level level, Terminal terminal = Terminal::of_stderr())
      : level_(level), terminal_(std::move(terminal)) {}

  template <class... Args>
  void info(fmt::format_string<Args...> text, Args&&... args) const {
    if (level_ == Level::kAll) {
      write(fmt::format(text, std::forward<Args>(args)...));
    }
  }
  template <class... Args>
  void warn(fmt::format_string<Args...> text, Args&&... args) const {
    if (level_ != Level::kSilent) {
      write(warning_mark() + fmt::format(text, std::forward<Args>(args)...));
    }
  }

  /// A line that the next one replaces, cut to the terminal's width; nothing where a line is not replaced.
  void status(std::string_view line) const;
  /// Whether status() shows anything.
  [[nodiscard]] bool is_live() const { return level_ == Level::kAll && terminal_.is_live(); }
  [[nodiscard]] const Terminal& terminal() const { return terminal_; }

 private:
  [[nodiscard]] std::string warning_mark() const;
  void write(std::string_view line) const;

  Level level_;
  Terminal terminal_;
};

}  // namespace tessera::core

#pragma once

#include <string>
#include <string_view>

namespace tessera::core {

/// Where people read stderr: a terminal on which a line may be replaced, or anything else, which gets plain lines.
class Terminal {
 public:
  /// No terminal.
  Terminal() = default;
  /// What stderr is now. mpirun gives its ranks a pipe and shows what comes out of it: for a rank that mpirun started
  /// on its own host this is the terminal that mpirun's stderr is, if it is one.
  static Terminal of_stderr();

  [[nodiscard]] bool is_live() const { return !path_.empty(); }
  /// Characters in a line at this moment.
  [[nodiscard]] int columns() const;
  /// Unless NO_COLOR is set (https://no-color.org).
  [[nodiscard]] bool has_colour() const { return has_colour_; }
  /// Whether the environment's locale is one of UTF-8.
  [[nodiscard]] bool has_unicode() const { return has_unicode_; }

 private:
  std::string path_;  // of the terminal; empty: there is none
  bool has_colour_ = false;
  bool has_unicode_ = false;
};

/// `text` cut to `columns` characters. Escape sequences take none, and are all kept, so that a colour is ended.
std::string cut_to_width(std::string_view text, int columns);

}  // namespace tessera::core

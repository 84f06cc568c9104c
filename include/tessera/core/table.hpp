#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::core {

/// Columns of text for people, as wide as they need to be.
class Table {
 public:
  struct Column {
    std::string title;
    bool is_number = false;  ///< aligned to the right
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  /// A line of titles and one for each row, every one with `indent` spaces before it and a line break after it.
  [[nodiscard]] std::string text(std::size_t indent = 0) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Columns that UTF-8 text takes: one a character (combining and wide ones are not told apart).
std::size_t display_width(std::string_view text);

}  // namespace tessera::core

#pragma once

#include <string>
#include <vector>

namespace tessera::tools {

/// Columns of text for people, as wide as they need to be.
class Table {
 public:
  struct Column {
    std::string title;
    bool is_number = false;  ///< aligned to the right
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace tessera::tools

#pragma once

#include "data/gzip_file.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tessera::data {

/// Walks through a tar archive (ustar, and the older format that it extends), gzipped or not, from front to back.
class TarReader {
 public:
  struct Entry {
    std::string name;  ///< with its folder
    std::int64_t size = 0;
    bool is_file = false;
  };

  explicit TarReader(const std::filesystem::path& path) : file_(path) {}

  /// The next entry, what is left of the last one skipped; nothing at the end, when all has been read and checked.
  std::optional<Entry> next();
  /// The bytes of the entry that next() gave. Once an entry.
  std::vector<std::uint8_t> read();

 private:
  GzipFile file_;
  Entry entry_;
  std::int64_t unread_ = 0;  ///< bytes of the current entry and its padding
};

}  // namespace tessera::data

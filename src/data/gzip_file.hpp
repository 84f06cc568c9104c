#pragma once

#include "tessera/core/handle.hpp"

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace tessera::data {

/// A file read from front to back, unpacked on the way where its name ends in .gz. Every defect is a core::UserError
/// that names the file.
class GzipFile {
 public:
  explicit GzipFile(std::filesystem::path path);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Fills `bytes` as far as the file reaches; returns how many there were. zlib checks the CRC at a member's end.
  std::size_t read_some(std::span<std::uint8_t> bytes);
  /// Fills `bytes`. `what` names them in the message that the file is truncated.
  void read(std::span<std::uint8_t> bytes, const char* what);
  /// The next `num_bytes`. Grows as the file yields them: a corrupt header must not become a vast allocation.
  std::vector<std::uint8_t> read(std::int64_t num_bytes, const char* what);
  void skip(std::int64_t num_bytes, const char* what);
  /// Reads on to the end, so that the CRC of everything is checked; returns the number of bytes.
  std::int64_t drain();

 private:
  [[noreturn]] void fail_truncated(const char* what, std::int64_t expected, std::int64_t found) const;

  static void close(gzFile file) noexcept { gzclose(file); }

  std::filesystem::path path_;
  core::Handle<gzFile, close> file_;
};

}  // namespace tessera::data

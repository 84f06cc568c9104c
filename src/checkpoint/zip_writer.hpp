#pragma once

#include "tessera/core/handle.hpp"
#include "tessera/io/file_system.hpp"
#include "tessera/io/output_file.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::checkpoint {

/// Writes a ZIP archive without compression, of any size (ZIP64), in bounded memory. Every entry's bytes begin at a
/// multiple of 64, as PyTorch's own archives do, so that readers can map them. (PKWARE APPNOTE 6.3.10)
class ZipWriter {
 public:
  /// The archive appears under `path` when finish() returns; until then it has a temporary name.
  ZipWriter(const std::string& path, const io::FileSystem& files) : file_(path, files) {}

  /// Takes disk space for about this much, now.
  void reserve(std::int64_t num_bytes) const { file_.reserve(num_bytes); }

  /// Begins an entry of exactly `size` bytes, which write() then gives.
  void begin_entry(const std::string& name, std::int64_t size);
  void write(std::span<const std::byte> bytes);
  void end_entry();

  void add(const std::string& name, std::string_view text);

  /// The list of entries, then sync and rename. Returns the bytes of the file.
  std::int64_t finish();

 private:
  struct Entry {
    std::string name;
    std::int64_t size = 0;
    std::int64_t header = 0;  // offset of the local header
    std::uint32_t crc32 = 0;
  };

  void write_directory();

  io::OutputFile file_;
  std::vector<Entry> entries_;
  std::int64_t remaining_ = 0;
};

}  // namespace tessera::checkpoint

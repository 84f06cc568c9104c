#pragma once

#include "tessera/core/handle.hpp"
#include "tessera/io/file_system.hpp"
#include "tessera/io/random_access_file.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace tessera::io {

/// A file written from front to back under a temporary name, which takes its name when it is whole and synced. One that
/// is not committed is removed.
class OutputFile {
 public:
  /// Throws core::Error where the file system refuses.
  OutputFile(std::string path, FileSystem files);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  OutputFile(OutputFile&&) = delete;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  /// Takes the disk space now, so that a full disk is met before the work.
  void reserve(std::int64_t num_bytes) const;
  void append(const void* data, std::size_t size);
  /// Overwrites bytes that were appended before.
  void overwrite(std::int64_t offset, const void* data, std::size_t size);
  /// Sync, rename, sync of the directory.
  void commit();

  /// Bytes appended so far.
  [[nodiscard]] std::int64_t size() const { return size_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::string temporary_;
  FileSystem files_;
  core::Handle<int, detail::close_descriptor, -1> file_;
  std::int64_t size_ = 0;
  bool committed_ = false;
};

}  // namespace tessera::io

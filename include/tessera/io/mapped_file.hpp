#pragma once

#include "tessera/io/random_access_file.hpp"

#include <cstddef>
#include <span>
#include <string>

namespace tessera::io {

/// A whole file, mapped read-only. An empty file is an empty span.
///
/// The pages belong to the system's cache and can be dropped at any time, so a map costs no memory of its own. A file
/// that somebody else shortens while it is mapped ends the program (SIGBUS): files under a map must not be rewritten
/// in place.
class MappedFile {
 public:
  /// Throws UserError with the path and the system's reason where the file cannot be opened or mapped.
  explicit MappedFile(std::string path);
  /// Maps a file that is open already.
  explicit MappedFile(RandomAccessFile file);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] const std::string& path() const { return file_.path(); }
  /// Belongs to this object.
  [[nodiscard]] int descriptor() const { return file_.descriptor(); }

 private:
  void unmap() noexcept;

  RandomAccessFile file_;
  std::span<const std::byte> bytes_;
};

}  // namespace tessera::io

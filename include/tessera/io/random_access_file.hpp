#pragma once

#include "tessera/core/handle.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace tessera::io {

namespace detail {
void close_descriptor(int descriptor) noexcept;
}  // namespace detail

/// A file open for reading at any place. Threads may read from one at once.
class RandomAccessFile {
 public:
  /// Throws UserError with the path and the system's reason.
  explicit RandomAccessFile(std::string path);
  /// A file that is open already: takes its descriptor, and uses the path in messages alone.
  RandomAccessFile(std::string path, int descriptor) : path_(std::move(path)), file_(descriptor) {}

  /// Exactly `size` bytes from `offset` on. Throws UserError where the file ends before, or cannot be read.
  void read(std::int64_t offset, std::size_t size, void* target) const;

  [[nodiscard]] const std::string& path() const { return path_; }
  /// Belongs to this object.
  [[nodiscard]] int descriptor() const { return file_.get(); }

 private:
  std::string path_;
  core::Handle<int, detail::close_descriptor, -1> file_;
};

}  // namespace tessera::io

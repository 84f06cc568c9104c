#include "tessera/io/random_access_file.hpp"

#include "io/posix.hpp"

#include <fcntl.h>

#include <utility>

namespace tessera::io {

// O_NONBLOCK concerns none but pipes, whose opening would wait for somebody who writes.
RandomAccessFile::RandomAccessFile(std::string path)
    : path_(std::move(path)),
      file_(retry_interrupted([&] { return ::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC); })) {
  if (!file_) {
    fail_errno<core::UserError>("open", path_);
  }
}

void RandomAccessFile::read(std::int64_t offset, std::size_t size, void* target) const {
  auto* next = static_cast<std::byte*>(target);
  while (size > 0) {
    const auto received = retry_interrupted([&] { return ::pread(file_.get(), next, size, offset); });
    if (received < 0) {
      fail_errno<core::UserError>("read", path_);
    }
    core::require<core::UserError>(received > 0, "io", "{} ends {} bytes before it should", path_, size);
    next += received;
    offset += received;
    size -= static_cast<std::size_t>(received);
  }
}

}  // namespace tessera::io

#include "tessera/io/output_file.hpp"

#include "io/posix.hpp"

#include <fcntl.h>

#include <utility>

namespace tessera::io {

OutputFile::OutputFile(std::string path, FileSystem files)
    : path_(std::move(path)), temporary_(temporary_name(path_)), files_(std::move(files)) {
  constexpr mode_t kMode = 0666;  // less the umask
  files_.announce("create", temporary_);
  file_ = FileDescriptor(
      retry_interrupted([&] { return ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kMode); }));
  if (!file_) {
    fail_errno<core::Error>("create", temporary_);
  }
}

OutputFile::~OutputFile() {
  if (!committed_) {
    ::unlink(temporary_.c_str());
  }
}

void OutputFile::reserve(std::int64_t num_bytes) const { files_.reserve(temporary_, num_bytes); }

void OutputFile::append(const void* data, std::size_t size) {
  files_.announce("write", temporary_);
  write_all(file_.get(), data, size, temporary_);
  size_ += static_cast<std::int64_t>(size);
}

void OutputFile::overwrite(std::int64_t offset, const void* data, std::size_t size) {
  core::require(offset + static_cast<std::int64_t>(size) <= size_, "io", "{} has no bytes {} to {} yet", path_, offset,
                offset + static_cast<std::int64_t>(size));
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const auto written = retry_interrupted([&] { return ::pwrite(file_.get(), next, size, offset); });
    if (written < 0) {
      fail_errno<core::Error>("write", temporary_);
    }
    next += written;
    offset += written;
    size -= static_cast<std::size_t>(written);
  }
}

void OutputFile::commit() {
  files_.announce("sync", temporary_);
  sync_descriptor(file_.get(), temporary_);
  files_.rename(temporary_, path_);
  committed_ = true;
  files_.sync_directory(parent_directory(path_));
}

}  // namespace tessera::io

#include "tessera/io/mapped_file.hpp"

#include "io/posix.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <utility>

namespace tessera::io {

MappedFile::MappedFile(std::string path) : MappedFile(RandomAccessFile(std::move(path))) {}

MappedFile::MappedFile(RandomAccessFile file) : file_(std::move(file)) {
  struct stat status {};
  if (::fstat(file_.descriptor(), &status) != 0) {
    fail_errno<core::UserError>("read the size of", path());
  }
  core::require<core::UserError>(S_ISREG(status.st_mode), "io", "{} is not a regular file", path());
  if (status.st_size == 0) {
    return;
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file_.descriptor(), 0);
  if (address == MAP_FAILED) {
    fail_errno<core::UserError>("map", path());
  }
  bytes_ = {static_cast<const std::byte*>(address), size};
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : file_(std::move(other.file_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    unmap();
    file_ = std::move(other.file_);
    bytes_ = std::exchange(other.bytes_, {});
  }
  return *this;
}

MappedFile::~MappedFile() { unmap(); }

void MappedFile::unmap() noexcept {
  if (!bytes_.empty()) {
    ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }
}

}  // namespace tessera::io

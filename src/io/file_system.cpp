#include "tessera/io/file_system.hpp"

#include "io/posix.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>

namespace tessera::io {
namespace {

namespace fs = std::filesystem;
constexpr mode_t kFileMode = 0666;  // less the umask, as every program's
constexpr mode_t kDirectoryMode = 0777;

FileDescriptor open_for_sync(const std::string& path, int flags) {
  FileDescriptor file(retry_interrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC); }));
  if (!file) {
    fail_errno<core::Error>("open", path);
  }
  return file;
}

}  // namespace

void detail::close_descriptor(int descriptor) noexcept { ::close(descriptor); }

void write_all(int descriptor, const void* data, std::size_t size, const std::string& path) {
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const auto written = retry_interrupted([&] { return ::write(descriptor, next, size); });
    if (written < 0) {
      fail_errno<core::Error>("write", path);
    }
    next += written;
    size -= static_cast<std::size_t>(written);
  }
}

void sync_descriptor(int descriptor, const std::string& path) {
  if (retry_interrupted([&] { return ::fsync(descriptor); }) != 0) {
    fail_errno<core::Error>("sync", path);
  }
}

std::string temporary_name(const std::string& path) {
  const fs::path target(path);
  return (target.parent_path() / (".tmp-" + target.filename().string())).string();
}

std::string parent_directory(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

std::string read_text_file(const std::string& path, std::int64_t max_bytes) {
  const FileDescriptor file(retry_interrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  if (!file) {
    fail_errno<core::UserError>("open", path);
  }
  std::string text;
  constexpr std::size_t kChunk = 1U << 16U;
  for (;;) {
    const std::size_t size = text.size();
    text.resize(size + kChunk);
    const auto received = retry_interrupted([&] { return ::read(file.get(), text.data() + size, kChunk); });
    if (received < 0) {
      fail_errno<core::UserError>("read", path);
    }
    text.resize(size + static_cast<std::size_t>(received));
    core::require<core::UserError>(text.size() <= static_cast<std::size_t>(max_bytes), "io",
                                   "{} is larger than {} bytes, which a file of its kind never is", path, max_bytes);
    if (received == 0) {
      return text;
    }
  }
}

void FileSystem::announce(std::string_view step, const std::string& path) const {
  if (before_) {
    before_(step, path);
  }
}

void FileSystem::make_directory(const std::string& path) const {
  announce("make directory", path);
  if (::mkdir(path.c_str(), kDirectoryMode) != 0) {
    fail_errno<core::Error>("make the directory", path);
  }
}

void FileSystem::make_directories(const std::string& path) const {
  std::error_code ignored;  // where the system does not tell, making the directory does
  if (fs::is_directory(path, ignored)) {
    return;
  }
  const std::string parent = parent_directory(path);
  if (parent != path) {
    make_directories(parent);
  }
  announce("make directory", path);
  if (::mkdir(path.c_str(), kDirectoryMode) != 0) {
    const int reason = errno;
    if (reason != EEXIST || !fs::is_directory(path, ignored)) {  // which another process may have made meanwhile
      errno = reason == EEXIST ? ENOTDIR : reason;
      fail_errno<core::Error>("make the directory", path);
    }
  }
  sync_directory(parent);
}

void FileSystem::check_writable(const std::string& directory) const {
  make_directories(directory);
  const std::string probe = (fs::path(directory) / ".tmp-writable").string();
  write_file(probe, "");
  remove_all(probe);
}

void FileSystem::require_writable(std::string_view who, std::string_view what, const std::string& directory) const {
  try {
    check_writable(directory);
  } catch (const core::Error& error) {
    core::fail<core::UserError>(who, "{} cannot be written: {}", what, error.what());
  }
}

void FileSystem::write_file(const std::string& path, std::string_view text) const {
  announce("write", path);
  const FileDescriptor file(
      retry_interrupted([&] { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kFileMode); }));
  if (!file) {
    fail_errno<core::Error>("create", path);
  }
  write_all(file.get(), text.data(), text.size(), path);
  announce("sync", path);
  sync_descriptor(file.get(), path);
}

void FileSystem::sync_file(const std::string& path) const {
  announce("sync", path);
  sync_descriptor(open_for_sync(path, O_RDWR).get(), path);
}

void FileSystem::sync_directory(const std::string& path) const {
  announce("sync directory", path);
  sync_descriptor(open_for_sync(path, O_RDONLY | O_DIRECTORY).get(), path);
}

void FileSystem::reserve(const std::string& path, std::int64_t num_bytes) const {
  announce("reserve", path);
  const FileDescriptor file = open_for_sync(path, O_RDWR);
  if (num_bytes <= 0 ||
      retry_interrupted([&] { return ::fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, num_bytes); }) == 0) {
    return;
  }
  // What a file system without fallocate answers; the writes themselves will meet a full disk there.
  if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL) {
    fail_errno<core::Error>(fmt::format("reserve {} bytes for", num_bytes), path);
  }
}

void FileSystem::rename(const std::string& from, const std::string& to) const {
  announce("rename", to);
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    fail_errno<core::Error>("rename " + from + " to", to);
  }
}

bool FileSystem::exchange(const std::string& first, const std::string& second) const {
  announce("exchange", second);
  if (!can_exchange_) {
    return false;
  }
  if (::renameat2(AT_FDCWD, first.c_str(), AT_FDCWD, second.c_str(), RENAME_EXCHANGE) == 0) {
    return true;
  }
  if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) {
    return false;
  }
  fail_errno<core::Error>("exchange " + first + " with", second);
}

void FileSystem::remove_all(const std::string& path) const {
  announce("remove", path);
  std::error_code error;
  fs::remove_all(path, error);
  core::require(!error, "io", "cannot remove {}: {}", path, error.message());
}

void FileSystem::atomic_write(const std::string& path, std::string_view text) const {
  const std::string temporary = temporary_name(path);
  try {
    write_file(temporary, text);
    rename(temporary, path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_directory(parent_directory(path));
}

}  // namespace tessera::io

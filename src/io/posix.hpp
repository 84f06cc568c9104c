#pragma once

#include "tessera/core/error.hpp"
#include "tessera/io/random_access_file.hpp"

#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

namespace tessera::io {

using FileDescriptor = core::Handle<int, detail::close_descriptor, -1>;

/// Throws E: "[io] cannot WHAT PATH: what the system said", from errno.
template <class E>
[[noreturn]] void fail_errno(std::string_view what, const std::string& path) {
  const int reason = errno;
  core::fail<E>("io", "cannot {} {}: {}", what, path, std::system_category().message(reason));
}

/// Runs a system call again while a signal interrupts it.
template <class Call>
auto retry_interrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) {
    result = call();
  }
  return result;
}

/// Writes all of `size` bytes at the descriptor's position. Throws core::Error.
void write_all(int descriptor, const void* data, std::size_t size, const std::string& path);

/// Returns when the disk has what was written to the descriptor. Throws core::Error.
void sync_descriptor(int descriptor, const std::string& path);

}  // namespace tessera::io

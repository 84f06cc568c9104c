#include "data/gzip_file.hpp"

#include "tessera/core/error.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace tessera::data {

GzipFile::GzipFile(std::filesystem::path path) : path_(std::move(path)), file_(gzopen(path_.c_str(), "rb")) {
  core::require<core::UserError>(static_cast<bool>(file_), "data", "cannot open {}: {}", path_.string(),
                                 std::strerror(errno));
  constexpr unsigned kBufferBytes = 1U << 18U;
  gzbuffer(file_.get(), kBufferBytes);
  const bool is_plain = gzdirect(file_.get()) != 0;
  core::require<core::UserError>(!is_plain || path_.extension() != ".gz", "data",
                                 "{} is named .gz and is no gzip file; download it again", path_.string());
}

std::size_t GzipFile::read_some(std::span<std::uint8_t> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    constexpr std::size_t kMostAtOnce = std::size_t{1} << 30U;  // gzread counts in int
    const auto count = static_cast<unsigned>(std::min(bytes.size() - done, kMostAtOnce));
    const int got = gzread(file_.get(), bytes.data() + done, count);
    int code = Z_OK;
    const char* reason = gzerror(file_.get(), &code);
    core::require<core::UserError>(got >= 0 && (code == Z_OK || code == Z_STREAM_END), "data",
                                   "{} is corrupt: {}; download it again", path_.string(),
                                   code == Z_ERRNO ? std::strerror(errno) : reason);
    if (got == 0) {
      break;
    }
    done += static_cast<std::size_t>(got);
  }
  return done;
}

void GzipFile::read(std::span<std::uint8_t> bytes, const char* what) {
  const std::size_t found = read_some(bytes);
  if (found != bytes.size()) {
    fail_truncated(what, static_cast<std::int64_t>(bytes.size()), static_cast<std::int64_t>(found));
  }
}

std::vector<std::uint8_t> GzipFile::read(std::int64_t num_bytes, const char* what) {
  constexpr std::size_t kStep = std::size_t{1} << 28U;
  const auto wanted = static_cast<std::size_t>(num_bytes);
  std::vector<std::uint8_t> bytes;
  while (bytes.size() < wanted) {
    const std::size_t before = bytes.size();
    bytes.resize(std::min(wanted, before + kStep));
    const std::size_t found = before + read_some(std::span(bytes).subspan(before));
    if (found != bytes.size()) {
      fail_truncated(what, num_bytes, static_cast<std::int64_t>(found));
    }
  }
  return bytes;
}

void GzipFile::skip(std::int64_t num_bytes, const char* what) {
  std::array<std::uint8_t, 1U << 14U> buffer{};
  for (std::int64_t left = num_bytes; left > 0;) {
    const std::int64_t wanted = std::min<std::int64_t>(left, buffer.size());
    const std::size_t found = read_some(std::span(buffer).first(static_cast<std::size_t>(wanted)));
    left -= static_cast<std::int64_t>(found);
    if (std::cmp_less(found, wanted)) {
      fail_truncated(what, num_bytes, num_bytes - left);
    }
  }
}

std::int64_t GzipFile::drain() {
  std::array<std::uint8_t, 1U << 14U> buffer{};
  std::int64_t total = 0;
  while (const std::size_t found = read_some(buffer)) {
    total += static_cast<std::int64_t>(found);
  }
  return total;
}

void GzipFile::fail_truncated(const char* what, std::int64_t expected, std::int64_t found) const {
  core::fail<core::UserError>("data", "{} is truncated: expected {} bytes of {}, found {}; download it again",
                              path_.string(), expected, what, found);
}

}  // namespace tessera::data

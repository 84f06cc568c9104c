#include "tessera/io/crc32c.hpp"

#include <fmt/core.h>
#include <isa-l/crc.h>

#include <algorithm>

namespace tessera::io {

std::uint32_t crc32c(const void* data, std::size_t size, std::uint32_t previous) {
  constexpr std::size_t kMost = std::size_t{1} << 30U;  // the library counts in ints
  // crc32_iscsi only reads, but is declared to take a pointer to non-const.
  auto* next = const_cast<unsigned char*>(static_cast<const unsigned char*>(data));
  std::uint32_t state = ~previous;
  while (size > 0) {
    const std::size_t count = std::min(size, kMost);
    state = ::crc32_iscsi(next, static_cast<int>(count), state);
    next += count;
    size -= count;
  }
  return ~state;
}

std::string crc32c_text(std::uint32_t crc) { return fmt::format("{:08x}", crc); }

}  // namespace tessera::io

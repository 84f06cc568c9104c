#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>

namespace tessera::core {

/// Appends the bytes of `value`, least significant first, as the formats of files want them on every machine.
template <std::integral Integer>
void append_little_endian(std::string& bytes, Integer value) {
  for (std::size_t i = 0; i < sizeof(value); ++i) {
    bytes += static_cast<char>((static_cast<std::uint64_t>(value) >> (8 * i)) & 0xFFU);
  }
}

}  // namespace tessera::core

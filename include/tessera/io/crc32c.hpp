#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tessera::io {

/// CRC-32C (Castagnoli, RFC 3720) of the bytes; `previous` is the value of the bytes before them, 0 for none.
std::uint32_t crc32c(const void* data, std::size_t size, std::uint32_t previous = 0);

/// Eight lower-case hexadecimal digits.
std::string crc32c_text(std::uint32_t crc);

}  // namespace tessera::io

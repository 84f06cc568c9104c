#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tessera::core {

/// "80GiB", "80GB", "512M" or plain bytes. GB and MB are powers of ten; GiB, MiB, G and M powers of two.
/// Throws UserError where the text is none of these.
std::int64_t parse_bytes(std::string_view text);

/// "71.3 GiB", "512 B": three significant digits or so, for people.
std::string format_bytes(double bytes);

/// "1:02:03", "2:03".
std::string format_duration(double seconds);

/// 1234567 -> "1,234,567".
std::string format_count(std::int64_t count);

}  // namespace tessera::core

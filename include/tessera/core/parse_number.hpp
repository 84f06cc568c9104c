#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace tessera::core {

/// The number that `text` is; none where it is anything else, or has anything else behind it.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  return status == std::errc{} && end == text.data() + text.size() ? std::optional<T>(value) : std::nullopt;
}

}  // namespace tessera::core

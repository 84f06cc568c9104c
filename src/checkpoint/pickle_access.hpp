#pragma once

#include "tessera/io/pickle.hpp"

#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>

// Reading a pickle's values without trusting any of them: what is not there, or not of the wanted kind, is nothing.

namespace tessera::checkpoint {

inline const io::PickleValue* find_in(const io::PickleValue* mapping, std::string_view key) {
  return mapping == nullptr ? nullptr : mapping->find(key);
}

/// What stands in a dict at a whole number.
inline const io::PickleValue* find_in(const io::PickleValue* mapping, std::int64_t key) {
  if (mapping == nullptr || !mapping->is_mapping()) {
    return nullptr;
  }
  for (std::size_t i = 0; i + 1 < mapping->items.size(); i += 2) {
    if (mapping->items[i]->is(io::PickleKind::kInteger) && mapping->items[i]->integer == key) {
      return mapping->items[i + 1];
    }
  }
  return nullptr;
}

inline const io::PickleValue* item_of(const io::PickleValue* sequence, std::size_t index) {
  const bool has_it = sequence != nullptr && sequence->is_sequence() && index < sequence->items.size();
  return has_it ? sequence->items[index] : nullptr;
}

inline std::optional<std::int64_t> whole(const io::PickleValue* value) {
  const bool is_whole = value != nullptr && value->is(io::PickleKind::kInteger);
  return is_whole ? std::optional(value->integer) : std::nullopt;
}

/// A whole number of at least `least`.
inline std::optional<std::int64_t> count(const io::PickleValue* value, std::int64_t least) {
  const auto number = whole(value);
  return number && *number >= least ? number : std::nullopt;
}

/// A finite number.
inline std::optional<double> real(const io::PickleValue* value) {
  if (const auto number = whole(value)) {
    return static_cast<double>(*number);
  }
  const bool is_real = value != nullptr && value->is(io::PickleKind::kReal) && std::isfinite(value->real);
  return is_real ? std::optional(value->real) : std::nullopt;
}

}  // namespace tessera::checkpoint

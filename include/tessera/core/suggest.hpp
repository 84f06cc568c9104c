#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tessera::core {

/// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The word of `known` that `word` most likely stands for, or empty where none is near: at most a third of its letters
/// (and at least two) differ, or it is the beginning of exactly one of them.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

/// "a, b or c".
std::string list_of(const std::vector<std::string>& words, std::string_view last = "or");

}  // namespace tessera::core

#include "tessera/core/log.hpp"

#include <cstdio>

namespace tessera::core {
namespace {

// Clears what a status line left, so that a line never ends in the tail of another.
constexpr std::string_view kClearLine = "\r\x1b[K";

void put(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

std::string Log::warning_mark() const { return terminal_.has_colour() ? "\x1b[33mwarning:\x1b[0m " : "warning: "; }

void Log::write(std::string_view line) const {
  put(std::string(terminal_.is_live() ? kClearLine : "") + std::string(line) + "\n");
}

void Log::status(std::string_view line) const {
  if (is_live()) {
    put(std::string(kClearLine) + cut_to_width(line, terminal_.columns() - 1));
  }
}

}  // namespace tessera::core

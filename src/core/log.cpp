#include "tessera/core/log.hpp"

#include <unistd.h>

#include <cstdio>
#include <string>

namespace tessera::core {
namespace {

// Clears what a status line left, so that a line never ends in the tail of another.
std::string_view line_start() { return Log::is_terminal() ? "\r\x1b[K" : ""; }

void put(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

bool Log::is_terminal() {
  static const bool terminal = ::isatty(STDERR_FILENO) == 1;
  return terminal;
}

void Log::write(std::string_view line) { put(std::string(line_start()) + std::string(line) + "\n"); }

void Log::status(std::string_view line) const {
  if (shows_everything() && is_terminal()) {
    put(std::string(line_start()) + std::string(line));
  }
}

}  // namespace tessera::core

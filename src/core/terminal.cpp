#include "tessera/core/terminal.hpp"

#include <fmt/core.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace tessera::core {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

// The terminal that descriptor 2 of a process is; empty where it is none.
std::string terminal_of(const std::string& process) {
  std::error_code error;
  const fs::path path = fs::read_symlink("/proc/" + process + "/fd/2", error);
  const int descriptor = error ? -1 : ::open(path.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    return "";
  }
  const bool is_terminal = ::isatty(descriptor) == 1;
  ::close(descriptor);
  return is_terminal ? path.string() : "";
}

// The parent's number where it is mpirun under one of its names, else nothing.
std::string launcher() {
  std::string parent = std::to_string(::getppid());
  std::string name;
  std::getline(std::ifstream("/proc/" + parent + "/comm"), name);
  const bool started_us = !variable("OMPI_COMM_WORLD_RANK").empty() || !variable("PMIX_RANK").empty();
  for (const char* const known : {"mpirun", "mpiexec", "orterun", "prterun"}) {
    if (started_us && name == known) {
      return parent;
    }
  }
  return "";
}

bool is_unicode_locale() {
  for (const char* const name : {"LC_ALL", "LC_CTYPE", "LANG"}) {  // the first that is set counts
    const std::string value = variable(name);
    if (!value.empty()) {
      return value.find("UTF-8") != std::string::npos || value.find("utf8") != std::string::npos;
    }
  }
  return false;
}

}  // namespace

Terminal Terminal::of_stderr() {
  Terminal terminal;
  if (variable("TERM").empty() || variable("TERM") == "dumb") {
    return terminal;
  }
  terminal.path_ = terminal_of("self");
  if (const std::string parent = launcher(); terminal.path_.empty() && !parent.empty()) {
    terminal.path_ = terminal_of(parent);
  }
  terminal.has_colour_ = terminal.is_live() && variable("NO_COLOR").empty();
  terminal.has_unicode_ = terminal.is_live() && is_unicode_locale();
  return terminal;
}

int Terminal::columns() const {
  constexpr int kUsual = 80;
  const int descriptor = ::open(path_.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    return kUsual;
  }
  winsize size{};
  const bool known = ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  ::close(descriptor);
  return known ? size.ws_col : kUsual;
}

std::string cut_to_width(std::string_view text, int columns) {
  std::string kept;
  bool in_escape = false;
  for (const char byte : text) {
    if (byte == '\x1b') {
      in_escape = true;
    }
    const bool continues = (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;  // a character of UTF-8
    if (!in_escape && !continues) {
      --columns;
    }
    if (in_escape || columns >= 0) {
      kept += byte;
    }
    in_escape = in_escape && byte != 'm' && byte != 'K';
  }
  return kept;
}

}  // namespace tessera::core

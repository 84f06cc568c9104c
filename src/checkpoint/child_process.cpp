#include "checkpoint/child_process.hpp"

#include "tessera/core/error.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <system_error>

#include <sys/wait.h>
#include <unistd.h>

namespace tessera::checkpoint {
namespace {

// The first byte of what the child says.
constexpr char kDone = 'd';
constexpr char kBadInput = 'u';
constexpr char kFailed = 'f';

std::string describe_outcome(const std::function<std::string()>& work) {
  try {
    return kDone + work();
  } catch (const core::UserError& error) {
    return kBadInput + std::string(error.what());
  } catch (const std::exception& error) {
    return kFailed + std::string(error.what());
  }
}

[[noreturn]] void be_child(int out, const std::function<std::string()>& work, unsigned seconds) {
  // The handlers of the program, which MPI or a test may have set, have no business here.
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM, SIGTERM}) {
    std::signal(signal, SIG_DFL);
  }
  ::alarm(seconds);
  const std::string said = describe_outcome(work);
  for (std::string_view left = said; !left.empty();) {
    const ssize_t written = ::write(out, left.data(), left.size());
    if (written < 0 && errno != EINTR) {
      ::_exit(1);
    }
    left.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
  }
  ::_exit(0);
}

std::string read_to_end(int in) {
  std::string said;
  std::array<char, 65536> buffer{};
  for (;;) {
    const ssize_t count = ::read(in, buffer.data(), buffer.size());
    if (count == 0 || (count < 0 && errno != EINTR)) {
      return said;
    }
    said.append(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  }
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

std::string run_in_child(const std::string& what, const std::function<std::string()>& work, unsigned seconds) {
  std::array<int, 2> ends{};
  core::require(::pipe(ends.data()) == 0, "checkpoint", "cannot make a pipe: {}",
                std::generic_category().message(errno));
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    be_child(ends[1], work, seconds);
  }
  const int fork_error = errno;
  ::close(ends[1]);
  const std::string said = child > 0 ? read_to_end(ends[0]) : "";
  ::close(ends[0]);
  core::require(child > 0, "checkpoint", "cannot start a process: {}", std::generic_category().message(fork_error));
  const int status = wait_for(child);
  core::require<core::UserError>(!WIFSIGNALED(status), "checkpoint",
                                 "{}, {}: the file is damaged, or made to do this; use another", what,
                                 WTERMSIG(status) == SIGALRM ? fmt::format("took more than {} s", seconds)
                                                             : fmt::format("crashed (signal {})", WTERMSIG(status)));
  core::require(status == 0 && !said.empty(), "checkpoint", "{}, ended without an answer", what);
  if (said.front() == kBadInput) {
    throw core::UserError(said.substr(1));
  }
  if (said.front() == kFailed) {
    throw core::Error(said.substr(1));
  }
  return said.substr(1);
}

}  // namespace tessera::checkpoint

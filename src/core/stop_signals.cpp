#include "tessera/core/stop_signals.hpp"

#include "tessera/core/error.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>

namespace tessera::core {
namespace {

constexpr std::array<int, 2> kSignals{SIGUSR1, SIGTERM};
constexpr std::int64_t kSameSignalNs = 1'000'000'000;

// What a handler may touch: a signal has no other way to its receiver.
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free);
std::atomic<int> strongest{0};
std::atomic<std::int64_t> first_term_ns{0};
std::atomic<bool> says_why{false};
std::array<struct sigaction, kSignals.size()> before{};

std::int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Async-signal-safe: atomics, clock_gettime, write and _exit alone.
extern "C" void remember(int signal) {
  const int saved_errno = errno;
  if (signal == SIGTERM) {
    std::int64_t first = 0;
    const std::int64_t now = now_ns();
    if (!first_term_ns.compare_exchange_strong(first, now) && now - first > kSameSignalNs) {
      if (says_why) {
        static constexpr char kText[] = "error: a second SIGTERM: ended at once, nothing more was saved\n";
        [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kText, sizeof kText - 1);
      }
      ::_exit(1);
    }
    strongest = SIGTERM;
  } else {
    int none = 0;
    strongest.compare_exchange_strong(none, signal);
  }
  errno = saved_errno;
}

}  // namespace

StopSignals::StopSignals(bool speaks) {
  strongest = 0;
  first_term_ns = 0;
  says_why = speaks;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;  // what waits in a system call goes on waiting
  ::sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    require(::sigaction(kSignals[i], &action, &before[i]) == 0, "core", "sigaction failed: {}", std::strerror(errno));
  }
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], &before[i], nullptr);
  }
}

int StopSignals::received() const { return strongest; }

std::string_view signal_name(int signal) { return signal == SIGTERM ? "SIGTERM" : "SIGUSR1"; }

}  // namespace tessera::core

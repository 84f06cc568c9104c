// A rank that gets into the trouble that its argument names, under a watchdog. The test starts it under mpirun.
#include "tessera/core/progress_board.hpp"
#include "tessera/topology/session.hpp"
#include "tessera/topology/watchdog.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

namespace tessera::topology {
namespace {

constexpr std::chrono::seconds kForever{1000};
constexpr WatchLimits kLimits{3, 4};

// As LibTorch's tensors do where the device has failed.
struct ThrowsAsItGoes {
  ~ThrowsAsItGoes() noexcept(false) { throw std::runtime_error("no event can be recorded\nin many lines"); }
};

// This process stands still for longer than a rank may be silent.
void stand_still() {
  const pid_t self = ::getpid();
  if (::fork() == 0) {
    ::kill(self, SIGSTOP);
    std::this_thread::sleep_for(std::chrono::seconds(7));
    ::kill(self, SIGCONT);
    ::_exit(0);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
}

int run(const std::string& trouble) {
  const Session session;
  const Group& world = session.world();
  const int last = world.size() - 1;
  core::ProgressBoard& board = *world.board();
  DeviceProbe probe;
  static std::atomic<bool> failed{trouble == "device"};  // it may outlive what is unwound
  if (trouble.starts_with("device") && world.rank() == last) {
    probe.error = [] { return std::string(failed ? "a link is down" : ""); };
  }
  auto watchdog = std::make_unique<Watchdog>(world, kLimits, "GPU 7", probe);
  world.barrier();
  board.begin_part(3 - (world.rank() == last ? 1 : 0), 0, "backward");
  std::this_thread::sleep_for(std::chrono::seconds(2));  // so that it is known: a start is waited for longer
  const std::map<std::string, std::function<void()>> troubles{
      {"stopped_last", [&] { world.rank() == last ? void(::raise(SIGSTOP)) : void(); }},
      {"stopped_first", [&] { world.rank() == 0 ? void(::raise(SIGSTOP)) : void(); }},
      {"stuck", [&] { world.rank() == last ? std::this_thread::sleep_for(kForever) : void(); }},
      {"device", [&] { world.rank() == 0 ? std::this_thread::sleep_for(kForever) : void(); }},
      {"device_and_destructor",
       [&] {
         if (world.rank() == last) {
           failed = true;
           const ThrowsAsItGoes tensor;
           throw std::runtime_error("a kernel failed");
         }
       }},
      {"all_stopped", stand_still},
      {"leaves_early",
       [&] { world.rank() == 1 ? watchdog.reset() : std::this_thread::sleep_for(2 * std::chrono::seconds(3)); }},
  };
  troubles.at(trouble)();
  world.barrier();
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace tessera::topology

int main(int /*argc*/, char** argv) {
  try {
    return tessera::topology::run(argv[1]);
  } catch (const std::exception&) {  // without a handler nothing is unwound
    return 3;
  }
}

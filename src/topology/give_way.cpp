#include "topology/give_way.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <ctime>
#include <string_view>

namespace tessera::topology {
namespace {

std::atomic<bool> sleeps_to_yield{false};

}  // namespace

void sleep_to_yield(bool sleeps) { sleeps_to_yield = sleeps; }

bool mpi_yields() {
  for (const char* name : {"OMPI_MCA_mpi_yield_when_idle", "OMPI_MCA_mpi_oversubscribe"}) {
    if (const char* value = std::getenv(name)) {
      const std::string_view text(value);
      return text == "1" || text == "true" || text == "yes";
    }
  }
  return false;
}

}  // namespace tessera::topology

// The C library's, for all of the process: CMakeLists.txt exports it, and the program comes before its libraries.
int sched_yield() noexcept {
  if (!tessera::topology::sleeps_to_yield.load(std::memory_order_relaxed)) {
    return static_cast<int>(::syscall(SYS_sched_yield));
  }
  const timespec shortest{0, 1};
  ::nanosleep(&shortest, nullptr);
  return 0;
}

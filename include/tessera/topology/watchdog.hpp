#pragma once

#include "tessera/topology/group.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace tessera::topology {

struct WatchLimits {
  double heartbeat_seconds = 10;     ///< without a sign of life, after which a rank is given up
  double collective_seconds = 1800;  ///< that a rank may wait for others; before the first step, six times that
};

/// What a rank's device knows of its collectives, asked by the watchdog's thread. All may be empty.
struct DeviceProbe {
  std::function<std::string()> error;       ///< of the communicator; empty text: none
  std::function<std::int64_t()> completed;  ///< how many of the collectives that were begun are over
  std::function<void()> abort;              ///< frees whoever waits for a collective that will never end
};

/// Notices ranks that are dead, stopped or stuck, and ends the run: one rank says what each was doing, then all end
/// with status 1.
///
/// A thread on each rank sends signs of life to the next rank and expects them from the one before, so that the traffic
/// of a rank does not depend on how many there are. It also reads the rank's own board: a wait for other ranks that is
/// too long, or an error of the device, is an alarm too. An alarm goes to the first rank (the second, where it is about
/// the first), which asks all others how far they got. A process that was stopped as a whole, as all are under a
/// debugger or a suspended job, counts its time anew when it goes on.
class Watchdog {
 public:
  /// `world` has a board. From now on std::terminate, which a destructor that throws where a device has failed calls,
  /// leaves the end to the alarm, or ends a process that has none in one line and with status 1. `device` is what
  /// messages call this rank's: "GPU 1 (NVIDIA H100)". Collective over `world`.
  Watchdog(const Group& world, const WatchLimits& limits, const std::string& device, DeviceProbe probe);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  /// Tells the next rank that this one goes.
  ~Watchdog();

  /// This rank has failed alone, and is about to end the run. Where its device has failed, this waits for the alarm,
  /// which says more. What it unwinds after that may wait for ranks that wait for it: after half a minute the system
  /// ends it.
  void ends_alone() const noexcept;

 private:
  class Thread;
  std::unique_ptr<Thread> thread_;
};

}  // namespace tessera::topology

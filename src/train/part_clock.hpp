#pragma once

#include <c10/core/Device.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tessera::train {

/// How long the device works at each part of a step: the time between marks that follow each other on the current
/// stream. Where the device waits for the host (for images, say), that counts as the part that it waits for.
class PartClock {
 public:
  explicit PartClock(c10::Device device) : device_(device), guard_(device.type()) {}

  /// Ends `part`, and begins the next. Enqueues an event on a GPU, and waits for nothing.
  void mark(const char* part);

  /// Seconds of each part up to the last mark of `part`, which becomes the beginning of the next sums; what was marked
  /// after it counts there. Empty where it was not marked. Waits until the device has passed that mark.
  std::map<std::string, double> take_until(const std::string& part);

 private:
  using Clock = std::chrono::steady_clock;
  struct Mark {
    std::string part;
    Clock::time_point time;
    std::optional<c10::Event> event;
  };
  [[nodiscard]] double between(const Mark& from, const Mark& to) const;

  c10::Device device_;
  c10::impl::VirtualGuardImpl guard_;
  std::vector<Mark> marks_;
};

}  // namespace tessera::train

#pragma once

#include "tessera/core/log.hpp"

#include <chrono>
#include <cstdint>
#include <string>

namespace tessera::tools {

/// A line that says how far long work has come, where stderr is a terminal.
class Progress {
 public:
  Progress(const core::Log& log, std::string what);

  void update(std::int64_t done_bytes, std::int64_t total_bytes);

  [[nodiscard]] double seconds() const;

 private:
  using Clock = std::chrono::steady_clock;

  const core::Log& log_;
  std::string what_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_;
};

/// "1.2 GiB in 0:03, 402 MiB/s".
std::string describe_rate(double bytes, double seconds);

}  // namespace tessera::tools

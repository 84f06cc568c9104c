#pragma once

#include "tessera/config/run_config.hpp"
#include "tessera/core/log.hpp"
#include "tessera/core/stop_signals.hpp"
#include "tessera/topology/group.hpp"
#include "tessera/topology/rolling_max.hpp"
#include "train/meters.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace tessera::train {

/// Whether a run is to end before it is through: on SIGUSR1 or SIGTERM of any rank, at --max_minutes, or at the end of
/// the Slurm job, in time for a last checkpoint.
///
/// The ranks agree on it at the points where the run can stop (between steps, and between the batches of an
/// evaluation). What a rank knows at one of them all know at the next, so that none waits for another.
class Stopper {
 public:
  /// The clock of --max_minutes (0: no such limit) starts here, and signals are taken from here on. Collective over
  /// `world`.
  Stopper(const topology::Group& world, double max_minutes, const core::Log& log);

  /// Whether the run stops at this point, the same on every rank and from then on. `save_seconds`: what saving the
  /// state takes. Collective over the run.
  bool stops_here(double save_seconds);
  /// What stops_here() returned last.
  [[nodiscard]] bool stops() const { return reason_ != 0; }
  /// "SIGTERM", "--max_minutes 30", "the job ends at 12:30:00": for messages.
  [[nodiscard]] std::string reason() const;

 private:
  [[nodiscard]] std::int64_t own_reason(double save_seconds);

  core::StopSignals signals_;
  topology::RollingMax votes_;
  double max_minutes_;
  bool keeps_time_;  // clocks differ: the first rank's decides
  Stopwatch since_start_;
  std::optional<Stopwatch> since_point_;
  double between_points_ = 0;  // seconds, of late
  std::optional<std::chrono::system_clock::time_point> job_end_;
  std::int64_t reason_ = 0;
};

/// Of a run that trains; null where it only evaluates, which a signal simply ends. Collective over `world`.
std::unique_ptr<Stopper> stopper_of(const config::RunConfig& config, const topology::Group& world,
                                    const core::Log& log);

}  // namespace tessera::train

#pragma once

#include <string_view>

namespace tessera::core {

/// SIGUSR1 and SIGTERM as requests to stop in order: while this exists they end nothing, and are remembered.
///
/// A second SIGTERM ends the process at once with status 1. One that follows the first within a second is the same one:
/// launchers pass a signal on by more than one way. To be made after MPI_Init, which may set handlers of its own; at
/// most one at a time.
class StopSignals {
 public:
  /// `speaks`: a second SIGTERM says on stderr that it ends the process.
  explicit StopSignals(bool speaks);
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  /// Gives the signals back the meaning that they had.
  ~StopSignals();

  /// What has come so far: SIGTERM, SIGUSR1 where that is all, 0 where nothing has.
  [[nodiscard]] int received() const;
};

/// "SIGTERM", "SIGUSR1".
std::string_view signal_name(int signal);

}  // namespace tessera::core

#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace tessera::core {

/// A collective operation as messages name it.
struct CollectiveNote {
  const char* kind = "";    ///< "reduce_scatter": a literal
  int bucket = -1;          ///< of the engine's; -1: none
  std::int64_t bytes = 0;   ///< that this rank gives
  std::int64_t number = 0;  ///< of the collectives that this rank began, from 1; 0: not counted
};

/// "reduce_scatter of bucket 3 of 1.2 MiB, collective 345".
std::string to_text(const CollectiveNote& note);

/// What a process's main thread is doing, written by it at every part of a step and around everything that waits for
/// other ranks, and read by whoever watches over it (topology::Watchdog).
class ProgressBoard {
 public:
  using Clock = std::chrono::steady_clock;

  struct State {
    std::int64_t step = -1;  ///< -1: training has not begun
    std::int64_t micro_step = 0;
    const char* part = "start-up";
    bool waits = false;
    CollectiveNote awaited;            ///< where it waits
    Clock::time_point since;           ///< when the wait began, or else the part
    std::int64_t num_collectives = 0;  ///< begun
  };

  void begin_part(std::int64_t step, std::int64_t micro_step, const char* part);
  /// Counts a collective as begun, and returns it with its number.
  CollectiveNote begin_collective(CollectiveNote note);

  /// The main thread waits for other ranks as long as this lives.
  class Wait {
   public:
    /// `board` may be null: then nobody watches.
    Wait(ProgressBoard* board, const CollectiveNote& note);
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    ~Wait();

   private:
    ProgressBoard* board_;
    bool outermost_ = false;
  };

  [[nodiscard]] State state() const;
  /// The collective of this number, if it is one of the last few hundred.
  [[nodiscard]] CollectiveNote collective(std::int64_t number) const;
  /// Seconds that the main thread has waited for other ranks so far.
  [[nodiscard]] double waited_seconds() const;

 private:
  mutable std::mutex mutex_;
  State state_;
  double waited_seconds_ = 0;
  std::array<CollectiveNote, 512> recent_{};
};

}  // namespace tessera::core

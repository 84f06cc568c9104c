#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

namespace tessera::data {

/// Has pieces of work 0, 1, 2 ... done ahead of time by threads, at most `num_slots` beyond what has been released, and
/// hands them over in order. Piece n is done in slot n % num_slots, which nobody else touches meanwhile.
class Prefetcher {
 public:
  static constexpr std::int64_t kEndless = std::numeric_limits<std::int64_t>::max();

  struct Spec {
    std::int64_t num_workers = 1;  ///< 0: wait() does the work
    std::int64_t num_slots = 2;
    std::int64_t num_pieces = kEndless;
  };
  using Work = std::function<void(std::int64_t piece, std::int64_t slot)>;

  Prefetcher(const Spec& spec, Work work);
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;
  /// Returns when every worker has finished the piece that it is at.
  ~Prefetcher();

  /// Waits for the next piece and returns its slot, or -1 after the last. Rethrows what the work threw, and goes on
  /// doing so: a spoilt piece is never passed.
  std::int64_t wait();
  /// Gives back the slot that wait() returned.
  void release();

 private:
  struct Slot {
    bool ready = false;
    std::exception_ptr error;
  };

  void run();
  void fill(std::int64_t piece);
  Slot& slot_of(std::int64_t piece) { return slots_[static_cast<std::size_t>(piece % spec_.num_slots)]; }

  Spec spec_;
  Work work_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Slot> slots_;
  std::int64_t next_in_ = 0;   ///< the next piece for a worker
  std::int64_t next_out_ = 0;  ///< the next piece for the consumer
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace tessera::data

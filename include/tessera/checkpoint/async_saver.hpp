#pragma once

#include "tessera/state/state_view.hpp"
#include "tessera/topology/group.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace tessera::checkpoint {

/// How a copy of the state is taken while the run goes on. All empty: the state is host memory, and so is the copy.
struct SnapshotMeans {
  /// Host memory for the copy, pinned where that makes copying fast. Called once.
  std::function<std::shared_ptr<std::byte>(std::size_t bytes)> allocate;
  /// Called by start() in its thread: what is copied is the state after all that has been enqueued so far.
  std::function<void()> begin;
  /// Called in the saver's thread; returns when the bytes are there. `state` does not change meanwhile.
  std::function<void(void* host, const void* state, std::size_t bytes)> to_host;
};

/// Writes checkpoints beside the run, in a thread and over a communicator of its own.
///
/// The thread first copies this rank's part of the state to host memory, then works on the copy. So the state may be
/// read all the time, and must not change until wait_for_snapshot() has returned: the forward and backward pass of the
/// next step hide the copy, and the update waits for what they did not hide.
///
/// The copy's memory is taken by the constructor, once and in the exact size. One piece of work at a time. The work
/// makes all calls of HDF5 in the thread: the process makes none elsewhere until wait() has returned.
class AsyncSaver {
 public:
  /// What to do with the copy: descriptions of the state whose views point into it, and the thread's own group.
  using Work = std::function<void(const state::StateDescription& copy, const topology::Group& group)>;

  /// For states with the ranges of `state`. Throws UserError on every rank alike where some rank has no memory for the
  /// copy. Collective over `group`.
  AsyncSaver(const topology::Group& group, const state::StateDescription& state, SnapshotMeans means);
  AsyncSaver(const AsyncSaver&) = delete;
  AsyncSaver& operator=(const AsyncSaver&) = delete;
  AsyncSaver(AsyncSaver&&) = delete;
  AsyncSaver& operator=(AsyncSaver&&) = delete;
  /// Waits for the work that is under way, and drops what came of it.
  ~AsyncSaver();

  /// Begins to copy and to work, and returns at once. Nothing may be under way. Every rank must call it, so that the
  /// ranks' threads meet; it does not communicate itself.
  void start(const state::StateDescription& state, Work work);
  /// Returns when the state may change again; at once where nothing is being copied.
  void wait_for_snapshot();
  /// Whether something was started whose end was not waited for yet.
  [[nodiscard]] bool is_under_way() const;
  /// Whether wait() would return at once. On this rank: others may still be at work.
  [[nodiscard]] bool is_done() const;
  /// Returns when the work has ended on this rank, and throws what it threw. A failed copy on any rank is an
  /// AgreedError on all, and the work is not begun.
  void wait();
  /// Before this rank ends the whole run by force: gives the work `grace` to end, then leaves it to its fate. The
  /// thread goes on with what it shares with nobody; MPI must not be finalised while it does.
  void abandon(std::chrono::milliseconds grace) noexcept;

  [[nodiscard]] std::int64_t snapshot_bytes() const;
  /// Seconds that the last copy took, in the thread. Known once wait() has returned.
  [[nodiscard]] double snapshot_seconds() const;

 private:
  class Job;
  std::shared_ptr<Job> job_;  // shared with the thread, which may outlive this
};

/// Bytes of this rank's part of a state.
std::int64_t snapshot_bytes(const state::StateDescription& state);

}  // namespace tessera::checkpoint

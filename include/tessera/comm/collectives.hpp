#pragma once

#include "tessera/core/dtype.hpp"
#include "tessera/core/stream.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace tessera::comm {

/// A collective that was issued and may still run. Buffers belong to it until wait() has returned, and on a device
/// until the stream has passed that point.
class Ticket {
 public:
  class Pending {
   public:
    Pending() = default;
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    virtual ~Pending() = default;
    virtual void wait(core::Stream consumer) = 0;
  };

  Ticket() = default;  ///< of something already complete
  explicit Ticket(std::unique_ptr<Pending> pending) : pending_(std::move(pending)) {}

  /// Work enqueued on `consumer` after this call sees the result. Ranks wait for their tickets in the same order.
  void wait(core::Stream consumer) {
    if (pending_) {
      pending_->wait(consumer);
      pending_.reset();
    }
  }
  [[nodiscard]] bool pending() const { return pending_ != nullptr; }

 private:
  std::unique_ptr<Pending> pending_;
};

/// The data plane: what ZeRO asks of a network. Every rank issues the same collectives in the same order.
///
/// Each starts when `producer` has reached the point of the call, runs beside it, and is complete for a stream that
/// waits on the ticket. Sums of bf16 are accumulated in at least the precision that the backend names, and are the
/// same in every run. Pointers are to device memory where the backend is for devices.
class Collectives {
 public:
  Collectives() = default;
  Collectives(const Collectives&) = delete;
  Collectives& operator=(const Collectives&) = delete;
  virtual ~Collectives() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// "nccl", "mpi", "mpi staged through host memory", "none (one rank)": for the plan and the log.
  [[nodiscard]] virtual std::string name() const = 0;

  /// Which of the engine's buckets the next collective is of: for whoever watches.
  virtual void announce(int /*bucket*/) {}

  // For a watchdog's thread, beside whatever the others do.
  /// What is wrong with the device or its communicator; empty: nothing.
  [[nodiscard]] virtual std::string device_error() { return {}; }
  /// How many of the collectives that were begun the device has done; -1 where they are done as they are waited for, or
  /// the device fails.
  [[nodiscard]] virtual std::int64_t num_completed() { return -1; }
  /// Ends what waits on the device for ranks that will not come. Nothing can be begun after it.
  virtual void abort() noexcept {}

  /// Sums `send` (size() x count elements) over the ranks; part r lands in rank r's `receive` (count elements).
  /// `receive` may be this rank's own part of `send`. Collective over all ranks.
  [[nodiscard]] virtual Ticket reduce_scatter(const void* send, void* receive, std::size_t count, core::DType dtype,
                                              core::Stream producer) = 0;
  /// Rank r's `send` (count elements) lands in part r of every `receive` (size() x count elements).
  /// `send` may be this rank's own part of `receive`. Collective over all ranks.
  [[nodiscard]] virtual Ticket all_gather(const void* send, void* receive, std::size_t count, core::DType dtype,
                                          core::Stream producer) = 0;
  /// Sums `buffer` (count elements) over the ranks, in place. Collective over all ranks.
  [[nodiscard]] virtual Ticket all_reduce(void* buffer, std::size_t count, core::DType dtype,
                                          core::Stream producer) = 0;
  /// Rank `root`'s `buffer` (count elements) arrives everywhere. Collective over all ranks.
  [[nodiscard]] virtual Ticket broadcast(void* buffer, std::size_t count, core::DType dtype, int root,
                                         core::Stream producer) = 0;
};

}  // namespace tessera::comm

#pragma once

#include "engine/context.hpp"
#include "engine/gradient_buckets.hpp"

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <vector>

namespace tessera::engine {

/// Starts the sum over the ranks of this rank's shard of the whole bucket, into `shard` (which may be that part of
/// `whole`). Waits for it at once where overlap is off. Collective over the run.
comm::Ticket reduce_scatter(const Context& context, const at::Tensor& whole, const at::Tensor& shard, int bucket);

/// Starts the sum of a whole bucket over the ranks, in place: this rank's shard of it (reduce-scatter), or all of it
/// (all-reduce). Waits for it at once where overlap is off. Collective over the run.
comm::Ticket reduce_in_place(const Context& context, at::Tensor& whole, int bucket, Part part);

/// Tells when the last unit of a bucket has its gradient.
class UnitCounter {
 public:
  explicit UnitCounter(const Context& context) : context_(context), left_(context.layout.buckets.size()) { reset(); }

  void reset();
  /// True for the unit that completes its bucket.
  bool completes(int unit);

 private:
  const Context& context_;
  std::vector<std::size_t> left_;
};

/// A few buffers as large as the largest bucket, in which whole gradients are made one after another. A buffer is
/// taken again when what was started on it has been settled.
class Ring {
 public:
  Ring(const Context& context, at::ScalarType dtype);

  /// The buffer in which `bucket` is being made: the one it has, or else the next one, settled and its gaps zeroed.
  at::Tensor take(int bucket);
  /// `bucket` is complete: `settle` is to run before its buffer is used again, or when all are settled.
  void release(int bucket, std::function<void()> settle);
  /// Settles everything released, oldest first.
  void settle_all();

 private:
  struct Slot {
    at::Tensor memory;
    int bucket = -1;
    bool released = true;
    std::function<void()> settle;
  };

  Slot& slot_of(int bucket);
  static void settle(Slot& slot);

  const Context& context_;
  std::vector<Slot> slots_;
  std::size_t next_ = 0;
};

/// Whole gradients of a micro-step on their way to their owners: made in a ring, and cast into a second one where the
/// wire has another type.
class OutgoingBuckets {
 public:
  OutgoingBuckets(const Context& context, at::ScalarType wire);

  void begin_micro_step() { counter_.reset(); }
  kernels::GradientTarget target(int unit);
  /// The bucket that `unit` completes, as it goes onto the wire, to be release()d; undefined where it completes none.
  at::Tensor complete(int unit);
  /// As Ring's.
  void release(int bucket, std::function<void()> settle);
  void settle_all() { sent().settle_all(); }

 private:
  Ring& sent() { return wire_ ? *wire_ : work_; }

  const Context& context_;
  UnitCounter counter_;
  Ring work_;
  std::optional<Ring> wire_;
};

}  // namespace tessera::engine

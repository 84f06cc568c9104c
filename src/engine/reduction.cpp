#include "engine/reduction.hpp"

#include "tessera/core/error.hpp"

#include <algorithm>
#include <utility>

namespace tessera::engine {

namespace {

comm::Ticket wait_unless_overlapping(const Context& context, comm::Ticket ticket) {
  if (!context.options.overlap) {
    ticket.wait(context.stream());
  }
  return ticket;
}

}  // namespace

comm::Ticket reduce_scatter(const Context& context, const at::Tensor& whole, const at::Tensor& shard, int bucket) {
  context.collectives.announce(bucket);
  return wait_unless_overlapping(context,
                                 context.collectives.reduce_scatter(whole.const_data_ptr(), shard.mutable_data_ptr(),
                                                                    static_cast<std::size_t>(shard.numel()),
                                                                    to_dtype(whole.scalar_type()), context.stream()));
}

comm::Ticket reduce_in_place(const Context& context, at::Tensor& whole, int bucket, Part part) {
  if (part == Part::kShard) {
    return reduce_scatter(context, whole, context.shard(whole, bucket), bucket);
  }
  context.collectives.announce(bucket);
  return wait_unless_overlapping(
      context, context.collectives.all_reduce(whole.mutable_data_ptr(), static_cast<std::size_t>(whole.numel()),
                                              to_dtype(whole.scalar_type()), context.stream()));
}

void UnitCounter::reset() {
  std::ranges::transform(context_.layout.buckets, left_.begin(),
                         [](const Bucket& bucket) { return bucket.units.size(); });
}

bool UnitCounter::completes(int unit) {
  std::size_t& left = left_[static_cast<std::size_t>(context_.place(unit).bucket)];
  core::require(left > 0, "engine", "unit {} was reported ready twice in a micro-step", unit);
  return --left == 0;
}

Ring::Ring(const Context& context, at::ScalarType dtype) : context_(context) {
  const std::int64_t num_slots = std::min<std::int64_t>(ring_size(context.options), context.num_buckets());
  for (std::int64_t i = 0; i < num_slots; ++i) {
    slots_.push_back({context.zeros(context.layout.largest_bucket_elements(), dtype), -1, true, {}});
  }
}

void Ring::settle(Slot& slot) {
  if (slot.settle) {
    std::exchange(slot.settle, {})();
  }
  slot.bucket = -1;
}

Ring::Slot& Ring::slot_of(int bucket) {
  const auto found =
      std::ranges::find_if(slots_, [bucket](const Slot& slot) { return slot.bucket == bucket && !slot.released; });
  core::require(found != slots_.end(), "engine", "bucket {} is not being made", bucket);
  return *found;
}

at::Tensor Ring::take(int bucket) {
  const auto found =
      std::ranges::find_if(slots_, [bucket](const Slot& slot) { return slot.bucket == bucket && !slot.released; });
  Slot& slot = found != slots_.end() ? *found : slots_[next_];
  const Bucket& layout = context_.bucket(bucket);
  if (found == slots_.end()) {
    core::require(slot.released, "engine", "backward opened bucket {} before bucket {} was complete", bucket,
                  slot.bucket);
    next_ = (next_ + 1) % slots_.size();
    settle(slot);
    slot.bucket = bucket;
    slot.released = false;
    for (const Gap& gap : layout.gaps) {
      slot.memory.narrow(0, gap.begin, gap.end - gap.begin).zero_();
    }
  }
  return slot.memory.narrow(0, 0, layout.num_elements);
}

void Ring::release(int bucket, std::function<void()> settle) {
  Slot& slot = slot_of(bucket);
  slot.released = true;
  slot.settle = std::move(settle);
}

void Ring::settle_all() {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    settle(slots_[(next_ + i) % slots_.size()]);
  }
}

OutgoingBuckets::OutgoingBuckets(const Context& context, at::ScalarType wire)
    : context_(context), counter_(context), work_(context, context.options.compute) {
  if (wire != context.options.compute) {
    wire_.emplace(context, wire);
  }
}

kernels::GradientTarget OutgoingBuckets::target(int unit) {
  return {context_.unit_view(work_.take(context_.place(unit).bucket), unit), false};
}

at::Tensor OutgoingBuckets::complete(int unit) {
  if (!counter_.completes(unit)) {
    return {};
  }
  const int bucket = context_.place(unit).bucket;
  at::Tensor whole = work_.take(bucket);
  if (wire_) {
    whole = wire_->take(bucket).copy_(whole);
    work_.release(bucket, {});
  }
  return whole;
}

void OutgoingBuckets::release(int bucket, std::function<void()> settle) { sent().release(bucket, std::move(settle)); }

}  // namespace tessera::engine

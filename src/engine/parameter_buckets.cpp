#include "engine/parameter_buckets.hpp"

#include <utility>

namespace tessera::engine {
namespace {

// All updates of a step are thousands of copies, more than a driver's queues hold: the calling thread would wait for
// the bus. So the forward pass is begun before, and buckets are updated so many ahead of it, which keeps the bus busy.
constexpr int kBucketsAhead = 2;

}  // namespace

ParameterBuckets::ParameterBuckets(const Context& context)
    : context_(context),
      gathers_(static_cast<std::size_t>(context.num_buckets())),
      updates_(static_cast<std::size_t>(context.num_buckets())) {
  for (const Bucket& bucket : context.layout.buckets) {
    buckets_.push_back(context.zeros(bucket.num_elements, context.options.compute));
  }
  for (int unit = 0; std::cmp_less(unit, context.table.units.size()); ++unit) {
    units_.push_back(context.unit_view(whole(context.place(unit).bucket), unit));
  }
}

at::Tensor ParameterBuckets::weight(int unit) {
  settle(context_.place(unit).bucket);
  return units_[static_cast<std::size_t>(unit)];
}

void ParameterBuckets::gather(int bucket) { gather_behind(bucket, context_.stream()); }

void ParameterBuckets::gather_behind(int bucket, core::Stream producer) {
  const at::Tensor mine = context_.shard(whole(bucket), bucket);
  context_.collectives.announce(bucket);
  comm::Ticket ticket = context_.collectives.all_gather(mine.const_data_ptr(), whole(bucket).mutable_data_ptr(),
                                                        static_cast<std::size_t>(mine.numel()),
                                                        to_dtype(context_.options.compute), producer);
  if (!context_.options.overlap) {
    ticket.wait(context_.stream());
  }
  gathers_[static_cast<std::size_t>(bucket)] = std::move(ticket);
}

void ParameterBuckets::update_aside(int bucket, std::function<void()> update) {
  waiting_.push_back({bucket, std::move(update)});
  begin_updates_to(context_.num_on_host - kBucketsAhead);
}

void ParameterBuckets::begin_updates_to(int bucket) {
  while (!waiting_.empty() && waiting_.front().bucket >= bucket) {
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    begin_update(next.bucket, next.update);
  }
}

void ParameterBuckets::begin_update(int bucket, const std::function<void()>& update) {
  SideStream::Done updated = context_.side->run(update);
  if (context_.one_rank()) {
    updates_[static_cast<std::size_t>(bucket)] = std::move(updated);
  } else {
    gather_behind(bucket, context_.side->stream());
  }
}

void ParameterBuckets::settle(int bucket) {
  begin_updates_to(bucket - kBucketsAhead);
  const auto index = static_cast<std::size_t>(bucket);
  std::exchange(updates_[index], {}).block_current();
  gathers_[index].wait(context_.stream());
}

void ParameterBuckets::wait_for_all() {
  // In the order in which they were issued: forward order, which is the buckets' reverse.
  for (int bucket = context_.num_buckets() - 1; bucket >= 0; --bucket) {
    settle(bucket);
  }
}

}  // namespace tessera::engine

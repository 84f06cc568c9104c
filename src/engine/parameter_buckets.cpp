#include "engine/parameter_buckets.hpp"

#include <utility>

namespace tessera::engine {

ParameterBuckets::ParameterBuckets(const Context& context)
    : context_(context),
      gathers_(static_cast<std::size_t>(context.num_buckets())),
      arrivals_(static_cast<std::size_t>(context.num_buckets())) {
  for (const Bucket& bucket : context.layout.buckets) {
    buckets_.push_back(context.zeros(bucket.num_elements, context.options.compute));
  }
  for (int unit = 0; std::cmp_less(unit, context.table.units.size()); ++unit) {
    units_.push_back(context.unit_view(whole(context.place(unit).bucket), unit));
  }
}

at::Tensor ParameterBuckets::weight(int unit) {
  const int bucket = context_.place(unit).bucket;
  settle(bucket);
  comm::Ticket& gather = gathers_[static_cast<std::size_t>(bucket)];
  if (gather.pending()) {
    gather.wait(context_.stream());
  }
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

void ParameterBuckets::update_on_host(int bucket, std::function<void()> update, const at::Tensor& values) {
  HostSide& host = *context_.host;
  const auto uploaded = std::make_shared<SideCopies::Done>();
  const at::Tensor shard = context_.shard(whole(bucket), bucket);
  // The shard may still be read, by the last backward pass: the upload follows that.
  host.up.follow_current();
  arrivals_[static_cast<std::size_t>(bucket)] = {
      host.worker.submit([&host, update = std::move(update), uploaded, shard, values] {
        update();
        *uploaded = host.up.copy(shard, values);
      }),
      uploaded};
}

void ParameterBuckets::upload(int bucket, const at::Tensor& values) {
  update_on_host(
      bucket, [] {}, values);
  settle(bucket);
}

void ParameterBuckets::settle(int bucket) {
  Arrival& arrival = arrivals_[static_cast<std::size_t>(bucket)];
  if (!arrival.job.valid()) {
    return;
  }
  std::exchange(arrival.job, {}).get();
  if (context_.one_rank()) {
    arrival.uploaded->block_current();
  } else {
    gather_behind(bucket, context_.host->up.stream());
  }
}

void ParameterBuckets::wait_for_all() {
  for (int bucket = context_.num_buckets() - 1; bucket >= 0; --bucket) {
    settle(bucket);
  }
  // In the order in which they were issued: forward order, which is the buckets' reverse.
  for (auto gather = gathers_.rbegin(); gather != gathers_.rend(); ++gather) {
    gather->wait(context_.stream());
  }
}

}  // namespace tessera::engine

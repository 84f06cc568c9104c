#include "engine/parameter_buckets.hpp"

#include <utility>

namespace tessera::engine {

ParameterBuckets::ParameterBuckets(const Context& context)
    : context_(context), gathers_(static_cast<std::size_t>(context.num_buckets())) {
  for (const Bucket& bucket : context.layout.buckets) {
    buckets_.push_back(context.zeros(bucket.num_elements, context.options.compute));
  }
  for (int unit = 0; std::cmp_less(unit, context.table.units.size()); ++unit) {
    units_.push_back(context.unit_view(whole(context.place(unit).bucket), unit));
  }
}

at::Tensor ParameterBuckets::weight(int unit) {
  comm::Ticket& gather = gathers_[static_cast<std::size_t>(context_.place(unit).bucket)];
  if (gather.pending()) {
    gather.wait(context_.stream());
  }
  return units_[static_cast<std::size_t>(unit)];
}

void ParameterBuckets::gather(int bucket) {
  const at::Tensor mine = context_.shard(whole(bucket), bucket);
  comm::Ticket ticket = context_.collectives.all_gather(mine.const_data_ptr(), whole(bucket).mutable_data_ptr(),
                                                        static_cast<std::size_t>(mine.numel()),
                                                        to_dtype(context_.options.compute), context_.stream());
  if (!context_.options.overlap) {
    ticket.wait(context_.stream());
  }
  gathers_[static_cast<std::size_t>(bucket)] = std::move(ticket);
}

void ParameterBuckets::wait_for_all() {
  // In the order in which they were issued: forward order, which is the buckets' reverse.
  for (auto gather = gathers_.rbegin(); gather != gathers_.rend(); ++gather) {
    gather->wait(context_.stream());
  }
}

}  // namespace tessera::engine

#include "engine/host_shards.hpp"

#include <algorithm>
#include <utility>

namespace tessera::engine {

HostShards::HostShards(const Context& context, at::ScalarType arriving, HostShardWork work)
    : context_(context), work_(std::move(work)) {
  const bool adds_up = context.options.accumulation_steps > 1;
  std::int64_t largest = 0;
  for (int bucket = 0; bucket < context.num_buckets(); ++bucket) {
    if (context.is_on_host(bucket)) {
      const std::int64_t size = context.bucket(bucket).shard_elements;
      shards_[bucket] = {context.host_zeros(size, adds_up ? at::kFloat : arriving), {}};
      largest = std::max(largest, size);
    }
  }
  for (std::int64_t i = 0; adds_up && largest > 0 && i < ring_size(context.options); ++i) {
    landings_.push_back({context.host_zeros(largest, arriving), {}});
  }
}

void HostShards::HostBuffer::wait() {
  if (job.valid()) {
    std::exchange(job, {}).get();
  }
}

void HostShards::begin_micro_step(bool first, bool last) {
  first_ = first;
  last_ = last;
}

std::shared_future<void> HostShards::submit(int bucket, std::function<void()> job) {
  if (!last_) {
    return context_.host->worker.submit(std::move(job));
  }
  return context_.host->worker.submit([this, bucket, job = std::move(job), shard = shards_.at(bucket).memory] {
    job();
    work_(bucket, shard);
  });
}

SideCopies::Done HostShards::add(int bucket, const at::Tensor& arriving, comm::Ticket& reduction) {
  HostSide& host = *context_.host;
  HostBuffer& shard = shards_.at(bucket);
  host.down.follow_current();
  reduction.wait(host.down.stream());
  if (first_ && shard.memory.scalar_type() == arriving.scalar_type()) {
    const SideCopies::Done copied = host.down.copy(shard.memory, arriving);
    shard.job = submit(bucket, [copied] { copied.wait(); });
    return copied;
  }
  HostBuffer& landing = landings_[next_landing_++ % landings_.size()];
  landing.wait();
  const at::Tensor landed = landing.memory.narrow(0, 0, arriving.numel());
  const SideCopies::Done copied = host.down.copy(landed, arriving);
  landing.job = submit(bucket, [copied, landed, first = first_, total = shard.memory]() mutable {
    copied.wait();
    if (first) {
      total.copy_(landed);
    } else {
      kernels::ops_for(c10::kCPU).accumulate(total, landed);
    }
  });
  shard.job = landing.job;
  return copied;
}

at::Tensor HostShards::sum(int bucket) {
  HostBuffer& shard = shards_.at(bucket);
  shard.wait();
  return shard.memory;
}

}  // namespace tessera::engine

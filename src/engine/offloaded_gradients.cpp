#include "engine/gradient_buckets.hpp"
#include "engine/host_side.hpp"
#include "engine/reduction.hpp"

#include <utility>
#include <vector>

namespace tessera::engine {
namespace {

// One rank sends nothing.
at::ScalarType arriving_type(const Context& context) {
  return context.one_rank() ? context.options.compute : context.options.wire;
}

// Offload: as PartitionedGradients, but the rank's shard lives in host memory. What a micro-step made of a bucket goes
// down as soon as it is reduced; where several micro-steps are added up, the host's thread does that, behind a ring of
// host buffers.
class OffloadedGradients final : public GradientBuckets {
 public:
  explicit OffloadedGradients(const Context& context) : context_(context), outgoing_(context, arriving_type(context)) {
    const EngineOptions& options = context.options;
    const at::ScalarType arriving = arriving_type(context);
    const bool adds_up = options.accumulation_steps > 1;
    for (const Bucket& bucket : context.layout.buckets) {
      shards_.push_back({context.state_zeros(bucket.shard_elements, adds_up ? at::kFloat : arriving), {}});
    }
    for (std::int64_t i = 0; adds_up && i < ring_size(options); ++i) {
      const std::int64_t largest = context.layout.largest_bucket_elements() / context.layout.world;
      landings_.push_back({context.state_zeros(largest, arriving), {}});
    }
  }

  void begin_micro_step(bool first, bool /*last*/) override {
    first_ = first;
    outgoing_.begin_micro_step();
  }

  kernels::GradientTarget target(int unit) override { return outgoing_.target(unit); }

  void ready(int unit) override {
    const at::Tensor whole = outgoing_.complete(unit);
    if (!whole.defined()) {
      return;
    }
    const int bucket = context_.place(unit).bucket;
    const at::Tensor arriving = context_.shard(whole, bucket);
    comm::Ticket reduction = reduce_scatter(context_, whole, arriving, bucket);
    context_.host->down.follow_current();
    reduction.wait(context_.host->down.stream());
    const SideCopies::Done copied = bring_down(arriving, shards_[static_cast<std::size_t>(bucket)]);
    outgoing_.release(bucket, [copied] { copied.block_current(); });
  }

  at::Tensor reduced(int bucket) override {
    HostBuffer& shard = shards_[static_cast<std::size_t>(bucket)];
    shard.wait();
    return shard.memory;
  }

 private:
  // Pinned, and what must have ended before it is used again.
  struct HostBuffer {
    at::Tensor memory;
    std::shared_future<void> job;

    void wait() {
      if (job.valid()) {
        std::exchange(job, {}).get();
      }
    }
  };

  SideCopies::Done bring_down(const at::Tensor& arriving, HostBuffer& shard) {
    HostSide& host = *context_.host;
    if (first_ && shard.memory.scalar_type() == arriving.scalar_type()) {
      const SideCopies::Done copied = host.down.copy(shard.memory, arriving);
      shard.job = host.worker.submit([copied] { copied.wait(); });
      return copied;
    }
    HostBuffer& landing = landings_[next_landing_++ % landings_.size()];
    landing.wait();
    const at::Tensor landed = landing.memory.narrow(0, 0, arriving.numel());
    const SideCopies::Done copied = host.down.copy(landed, arriving);
    landing.job = host.worker.submit([this, copied, landed, first = first_, total = shard.memory]() mutable {
      copied.wait();
      if (first) {
        total.copy_(landed);
      } else {
        context_.optimizer_ops().accumulate(total, landed);
      }
    });
    shard.job = landing.job;
    return copied;
  }

  const Context& context_;
  OutgoingBuckets outgoing_;
  std::vector<HostBuffer> shards_;
  std::vector<HostBuffer> landings_;
  std::size_t next_landing_ = 0;
  bool first_ = true;
};

}  // namespace

std::unique_ptr<GradientBuckets> make_offloaded_gradients(const Context& context) {
  return std::make_unique<OffloadedGradients>(context);
}

}  // namespace tessera::engine

#pragma once

#include "engine/context.hpp"
#include "tessera/model/parameter_access.hpp"

#include <ATen/core/Tensor.h>

#include <deque>
#include <functional>
#include <vector>

namespace tessera::engine {

/// The whole parameters, on every rank, bucket by bucket. A bucket is gathered from its owners' shards behind the
/// optimizer; the first use of one of its units makes the current stream wait for it.
class ParameterBuckets final : public model::Weights {
 public:
  explicit ParameterBuckets(const Context& context);

  at::Tensor weight(int unit) override;

  [[nodiscard]] const at::Tensor& whole(int bucket) const { return buckets_[static_cast<std::size_t>(bucket)]; }

  /// Starts the all-gather of a bucket. Collective over the run.
  void gather(int bucket);
  /// Offload: `update` makes this rank's shard anew, on the side stream; it is gathered behind that. Called for the
  /// buckets in forward order; begun a few buckets before their first use, or with begin_updates(). Collective over the
  /// run.
  void update_aside(int bucket, std::function<void()> update);
  /// Begins the updates that wait for the first use of their buckets.
  void begin_updates() { begin_updates_to(0); }
  /// Makes the current stream wait for all of them. Collective over the run.
  void wait_for_all();

 private:
  // The current stream waits for what is under way to a bucket.
  void settle(int bucket);
  void gather_behind(int bucket, core::Stream producer);
  // Those of this bucket and of all that come before it in forward order.
  void begin_updates_to(int bucket);
  void begin_update(int bucket, const std::function<void()>& update);

  const Context& context_;
  std::vector<at::Tensor> buckets_;
  std::vector<at::Tensor> units_;
  std::vector<comm::Ticket> gathers_;
  std::vector<SideStream::Done> updates_;  // one rank's, of offloaded buckets
  struct Waiting {
    int bucket;
    std::function<void()> update;
  };
  std::deque<Waiting> waiting_;  // in forward order: bucket by bucket down
};

}  // namespace tessera::engine

#pragma once

#include "engine/context.hpp"
#include "tessera/model/parameter_access.hpp"

#include <ATen/core/Tensor.h>

#include <functional>
#include <future>
#include <memory>
#include <vector>

namespace tessera::engine {

/// The whole parameters, on every rank, bucket by bucket. A bucket is gathered from its owners' shards behind the
/// optimizer; the first use of one of its units makes the current stream wait for it. Where the optimizer is offloaded,
/// that use first waits for the host to have made the shard.
class ParameterBuckets final : public model::Weights {
 public:
  explicit ParameterBuckets(const Context& context);

  at::Tensor weight(int unit) override;

  [[nodiscard]] const at::Tensor& whole(int bucket) const { return buckets_[static_cast<std::size_t>(bucket)]; }

  /// Starts the all-gather of a bucket. Collective over the run.
  void gather(int bucket);
  /// Offload: `update`, on the host's thread, makes the values of this rank's shard in `values`; they then go up.
  /// Called for the buckets in forward order. Collective over the run.
  void update_on_host(int bucket, std::function<void()> update, const at::Tensor& values);
  /// Offload: `values` of the host go up, and are gathered. Collective over the run.
  void upload(int bucket, const at::Tensor& values);
  /// Makes the current stream wait for all of them. Collective over the run.
  void wait_for_all();

 private:
  // A shard that the host makes. The host's thread writes `uploaded` before `job` ends.
  struct Arrival {
    std::shared_future<void> job;
    std::shared_ptr<SideCopies::Done> uploaded;
  };

  // Waits for the host's update of a bucket, if there is one, and starts the all-gather behind its upload.
  void settle(int bucket);
  void gather_behind(int bucket, core::Stream producer);

  const Context& context_;
  std::vector<at::Tensor> buckets_;
  std::vector<at::Tensor> units_;
  std::vector<comm::Ticket> gathers_;
  std::vector<Arrival> arrivals_;
};

}  // namespace tessera::engine

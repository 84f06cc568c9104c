#pragma once

#include "engine/context.hpp"
#include "tessera/model/parameter_access.hpp"

#include <ATen/core/Tensor.h>

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
  /// Makes the current stream wait for all of them. Collective over the run.
  void wait_for_all();

 private:
  const Context& context_;
  std::vector<at::Tensor> buckets_;
  std::vector<at::Tensor> units_;
  std::vector<comm::Ticket> gathers_;
};

}  // namespace tessera::engine

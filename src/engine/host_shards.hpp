#pragma once

#include "engine/context.hpp"
#include "engine/gradient_buckets.hpp"

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <functional>
#include <future>
#include <map>
#include <vector>

namespace tessera::engine {

/// Offload: this rank's gradient shards of the buckets whose state is the host's, in host memory. What a micro-step
/// made of one goes down as soon as it is reduced; where several micro-steps are added up, the host's thread does that,
/// behind a ring of host buffers; and what is to be done with a shard that is whole (`work`), while backward goes on.
class HostShards {
 public:
  /// `arriving` is the type in which reduced shards come.
  HostShards(const Context& context, at::ScalarType arriving, HostShardWork work);

  /// Which of a step's micro-steps makes what is added next.
  void begin_micro_step(bool first, bool last);
  /// `arriving`, of the device, is this micro-step's shard of `bucket`, once `reduction` is done; it stays as it is
  /// until what is returned.
  SideCopies::Done add(int bucket, const at::Tensor& arriving, comm::Ticket& reduction);

  /// The shard, with all that was added, and `work` done. The calling thread waits.
  at::Tensor sum(int bucket);

 private:
  // Pinned, and what must have ended before it is used again.
  struct HostBuffer {
    at::Tensor memory;
    std::shared_future<void> job;

    void wait();
  };

  // Does `job` on the host's thread, and then what is to be done with a whole shard.
  std::shared_future<void> submit(int bucket, std::function<void()> job);

  const Context& context_;
  const HostShardWork work_;
  bool first_ = true;
  bool last_ = true;
  std::map<int, HostBuffer> shards_;
  std::vector<HostBuffer> landings_;
  std::size_t next_landing_ = 0;
};

}  // namespace tessera::engine

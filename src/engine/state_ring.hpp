#pragma once

#include "engine/context.hpp"
#include "engine/optimizer_state.hpp"

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace tessera::engine {

/// Neighbouring elements of a bucket with the reduced gradient, from the bucket's element `begin` on.
struct StateChunk {
  std::int64_t begin = 0;
  OptimizerState state;
  at::Tensor gradient;
};

struct StateRingSize {
  std::int64_t num_slots = 0;       ///< chunks that the ring has room for
  std::int64_t chunk_elements = 0;  ///< a multiple of kAlignment
  std::int64_t chunk_bytes = 0;
};
/// With one on its way in, one on its way out and one being updated, a fourth may wait for the computation beside it.
/// Less where less is offloaded.
StateRingSize state_ring_size(const EngineOptions& options, const ShardLayout& layout);

/// What is offloaded is updated on the device, as it passes through a ring of the device's memory. Copy engines bring
/// it in and out, each way on a stream of its own, beside the update: both ways at once at the bus's rate, which
/// kernels that reach over the bus do not get to.
class StateRing {
 public:
  explicit StateRing(const Context& context);

  /// Updates what lies in host memory, `home` and perhaps `gradient`, chunk by chunk: `update` works on copies on the
  /// device (the weight, which is there, is no copy) on the current stream. What is at home must be complete by now;
  /// `home_again` is when it was the last time, and becomes when it will be.
  void pass(const OptimizerState& home, const at::Tensor& gradient, SideStream::Done& home_again,
            const std::function<void(const StateChunk& chunk)>& update);

  /// The calling thread waits until everything is at home.
  void synchronize() const { outward_.synchronize(); }

 private:
  struct Slot {
    OptimizerState state;  // without a weight
    at::Tensor gradient;   // of those that are offloaded
    SideStream::Done left;
  };

  SideStream inward_;
  SideStream outward_;
  std::int64_t chunk_elements_ = 0;
  std::vector<Slot> slots_;
  std::size_t next_ = 0;
};

}  // namespace tessera::engine

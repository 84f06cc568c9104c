#include "engine/state_ring.hpp"

#include "engine/gradient_buckets.hpp"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <ranges>

namespace tessera::engine {
namespace {

// The same host memory as a tensor of the host's, which copy engines copy to and from.
at::Tensor on_host(const at::Tensor& home) {
  return at::from_blob(home.mutable_data_ptr(), home.sizes(), home.options().device(at::kCPU));
}

void copy_all(const std::vector<at::Tensor>& to, const std::vector<at::Tensor>& from) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    to[i].copy_(from[i], /*non_blocking=*/true);
  }
}

std::vector<at::Tensor> on_host(std::vector<at::Tensor> home) {
  std::ranges::transform(home, home.begin(), [](const at::Tensor& tensor) { return on_host(tensor); });
  return home;
}

}  // namespace

StateRingSize state_ring_size(const EngineOptions& options, const ShardLayout& layout) {
  constexpr std::int64_t kMostSlots = 4;
  const auto bytes = [&](std::int64_t num_elements) {
    const auto gradient = static_cast<std::int64_t>(c10::elementSize(kept_gradient_type(options, layout.world)));
    return options.optimizer_bytes(num_elements) + (options.offload_gradients ? num_elements * gradient : 0);
  };
  const std::int64_t units = std::max<std::int64_t>(1, options.offload_chunk_bytes / bytes(kAlignment));
  const std::int64_t chunk = std::min(units * kAlignment, layout.largest_bucket_elements() / layout.world);
  std::int64_t num_chunks = 0;
  for (const Bucket& bucket : layout.buckets | std::views::take(num_offloaded_buckets(layout, options.offload))) {
    num_chunks += (bucket.shard_elements + chunk - 1) / chunk;
  }
  return {std::min(kMostSlots, num_chunks), chunk, bytes(chunk)};
}

StateRing::StateRing(const Context& context) : inward_(context.options.device), outward_(context.options.device) {
  const EngineOptions& options = context.options;
  const auto zeros = [&](std::int64_t size, at::ScalarType dtype) { return context.zeros(size, dtype); };
  const StateRingSize size = state_ring_size(options, context.layout);
  chunk_elements_ = size.chunk_elements;
  for (std::int64_t i = 0; i < size.num_slots; ++i) {
    slots_.push_back({make_state(options, chunk_elements_, zeros), {}, {}});
    if (options.offload_gradients) {
      slots_.back().gradient = zeros(chunk_elements_, kept_gradient_type(options, context.layout.world));
    }
  }
}

void StateRing::pass(const OptimizerState& home, const at::Tensor& gradient, SideStream::Done& home_again,
                     const std::function<void(const StateChunk& chunk)>& update) {
  const std::int64_t size = gradient.numel();
  for (std::int64_t begin = 0; begin < size; begin += chunk_elements_) {
    Slot& slot = slots_[next_];
    next_ = (next_ + 1) % slots_.size();
    const std::int64_t length = std::min(chunk_elements_, size - begin);
    const std::vector<at::Tensor> there = on_host(narrow(home, begin, length).besides_weight());
    StateChunk here{begin, narrow(slot.state, 0, length), gradient.narrow(0, begin, length)};
    const std::vector<at::Tensor> copies = here.state.besides_weight();
    here.state.parameter.weight = home.parameter.weight.narrow(0, begin, length);
    inward_
        .run([&] {
          slot.left.block_current();
          home_again.block_current();
          copy_all(copies, there);
          if (slot.gradient.defined()) {
            here.gradient = slot.gradient.narrow(0, 0, length).copy_(on_host(here.gradient), /*non_blocking=*/true);
          }
        })
        .block_current();
    update(here);
    outward_.follow_current();
    slot.left = outward_.run([&] { copy_all(there, copies); });
    if (begin + length == size) {
      home_again = slot.left;
    }
  }
}

}  // namespace tessera::engine

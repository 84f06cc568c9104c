#pragma once

#include "engine/host_side.hpp"
#include "tessera/comm/collectives.hpp"
#include "tessera/engine/options.hpp"
#include "tessera/engine/shard_layout.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/model/param_table.hpp"

#include <ATen/core/Tensor.h>

namespace tessera::engine {

/// What every part of the engine knows: the layout, and the means.
struct Context {
  const model::ParamTable& table;
  const ShardLayout layout;
  comm::Collectives& collectives;
  const kernels::Ops& ops;
  const EngineOptions options;
  HostSide* const host = nullptr;  ///< where some of the optimizer's state is offloaded
  const int num_on_host = host == nullptr ? 0 : num_offloaded_buckets(layout, options.offload);  ///< buckets

  [[nodiscard]] int num_buckets() const { return static_cast<int>(layout.buckets.size()); }
  [[nodiscard]] const Bucket& bucket(int index) const { return layout.buckets[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const UnitPlace& place(int unit) const { return layout.places[static_cast<std::size_t>(unit)]; }
  [[nodiscard]] bool one_rank() const { return layout.world == 1; }

  /// A flat tensor of zeros on the run's device.
  [[nodiscard]] at::Tensor zeros(std::int64_t num_elements, at::ScalarType dtype) const;
  /// The same in host memory, pinned if the run's device is another.
  [[nodiscard]] at::Tensor host_zeros(std::int64_t num_elements, at::ScalarType dtype) const;
  /// Whether a bucket's gradient and optimizer state are offloaded.
  [[nodiscard]] bool is_on_host(int bucket) const { return bucket < num_on_host; }
  /// Where these live, what computes there, and zeros there.
  [[nodiscard]] c10::Device state_device(int bucket) const {
    return is_on_host(bucket) ? c10::Device(c10::kCPU) : options.device;
  }
  [[nodiscard]] const kernels::Ops& state_ops(int bucket) const {
    return is_on_host(bucket) ? kernels::ops_for(c10::kCPU) : ops;
  }
  [[nodiscard]] at::Tensor state_zeros(int bucket, std::int64_t num_elements, at::ScalarType dtype) const {
    return is_on_host(bucket) ? host_zeros(num_elements, dtype) : zeros(num_elements, dtype);
  }
  /// This rank's shard of a whole bucket.
  [[nodiscard]] at::Tensor shard(const at::Tensor& whole, int index) const;
  /// A unit's part of a whole bucket, as a matrix where it is one.
  [[nodiscard]] at::Tensor unit_view(const at::Tensor& whole, int unit) const;
  /// The device's current stream.
  [[nodiscard]] core::Stream stream() const;
};

core::Stream current_stream(c10::Device device);

core::DType to_dtype(at::ScalarType type);

}  // namespace tessera::engine

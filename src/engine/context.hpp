#pragma once

#include "tessera/comm/collectives.hpp"
#include "tessera/engine/options.hpp"
#include "tessera/engine/shard_layout.hpp"
#include "tessera/engine/side_stream.hpp"
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
  SideStream* const side = nullptr;  ///< where some of the optimizer's state is offloaded
  const int num_on_host = side == nullptr ? 0 : num_offloaded_buckets(layout, options.offload);  ///< buckets

  [[nodiscard]] int num_buckets() const { return static_cast<int>(layout.buckets.size()); }
  [[nodiscard]] const Bucket& bucket(int index) const { return layout.buckets[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const UnitPlace& place(int unit) const { return layout.places[static_cast<std::size_t>(unit)]; }
  [[nodiscard]] bool one_rank() const { return layout.world == 1; }

  /// A flat tensor of zeros on the run's device.
  [[nodiscard]] at::Tensor zeros(std::int64_t num_elements, at::ScalarType dtype) const;
  /// The same in pinned host memory, which kernels of the run's device read and write over the bus: a tensor of that
  /// device for all who use it.
  [[nodiscard]] at::Tensor host_zeros(std::int64_t num_elements, at::ScalarType dtype) const;
  /// Whether a bucket's optimizer state is in host memory, and whether its reduced gradient is too.
  [[nodiscard]] bool is_on_host(int bucket) const { return bucket < num_on_host; }
  [[nodiscard]] bool gradient_is_on_host(int bucket) const { return options.offload_gradients && is_on_host(bucket); }
  /// Zeros where a bucket's optimizer state is.
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

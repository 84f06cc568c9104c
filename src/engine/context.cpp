#include "engine/context.hpp"

#include "tessera/core/error.hpp"
#include "tessera/topology/pinned_memory.hpp"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <memory>
#include <utility>

namespace tessera::engine {

at::Tensor Context::zeros(std::int64_t num_elements, at::ScalarType dtype) const {
  return at::zeros({num_elements}, at::TensorOptions().dtype(dtype).device(options.device));
}

at::Tensor Context::host_zeros(std::int64_t num_elements, at::ScalarType dtype) const {
  if (options.device.is_cpu()) {
    return zeros(num_elements, dtype);
  }
  const auto bytes = static_cast<std::size_t>(num_elements) * c10::elementSize(dtype);
  std::shared_ptr<std::byte> memory = topology::pinned_memory(bytes);
  std::byte* const first = memory.get();
  at::from_blob(first, {static_cast<std::int64_t>(bytes)}, at::TensorOptions().dtype(at::kByte)).zero_();
  const auto release = [memory = std::move(memory)](void*) mutable { memory.reset(); };
  return at::from_blob(first, {num_elements}, release, at::TensorOptions().dtype(dtype).device(options.device),
                       options.device);
}

at::Tensor Context::shard(const at::Tensor& whole, int index) const {
  const std::int64_t size = bucket(index).shard_elements;
  return whole.narrow(0, size * collectives.rank(), size);
}

at::Tensor Context::unit_view(const at::Tensor& whole, int unit) const {
  const model::Unit& shape = table.units[static_cast<std::size_t>(unit)];
  const at::Tensor flat = whole.narrow(0, place(unit).offset, shape.num_elements);
  return shape.num_columns > 0 ? flat.view({-1, shape.num_columns}) : flat;
}

core::Stream Context::stream() const { return current_stream(options.device); }

core::Stream current_stream(c10::Device device) {
  if (device.is_cpu()) {
    return {};
  }
  return {c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle()};
}

core::DType to_dtype(at::ScalarType type) {
  core::require(type == at::kFloat || type == at::kBFloat16, "engine", "buckets are fp32 or bf16, not {}",
                c10::toString(type));
  return type == at::kFloat ? core::DType::kFloat32 : core::DType::kBFloat16;
}

}  // namespace tessera::engine

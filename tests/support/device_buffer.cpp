#include "support/device_buffer.hpp"

#include "support/device_memory.hpp"

#include <cstdint>

namespace tessera::test {

DeviceBuffer::DeviceBuffer(std::size_t count, core::DType dtype, bool on_device)
    : count_(count), dtype_(dtype), on_device_(on_device), memory_(allocate(count * core::size_of(dtype), on_device)) {}

void DeviceBuffer::fill(const std::function<float(std::size_t)>& value) {
  std::vector<float> floats(count_);
  std::vector<std::uint16_t> halves(count_);
  for (std::size_t i = 0; i < count_; ++i) {
    floats[i] = value(i);
    halves[i] = core::float_to_bf16(floats[i]);
  }
  const void* source = dtype_ == core::DType::kFloat32 ? static_cast<const void*>(floats.data()) : halves.data();
  copy(memory_.get(), source, count_ * core::size_of(dtype_), on_device_);
}

std::vector<float> DeviceBuffer::read() const {
  std::vector<float> floats(count_);
  if (dtype_ == core::DType::kFloat32) {
    copy(floats.data(), memory_.get(), count_ * sizeof(float), on_device_);
    return floats;
  }
  std::vector<std::uint16_t> halves(count_);
  copy(halves.data(), memory_.get(), count_ * sizeof(std::uint16_t), on_device_);
  for (std::size_t i = 0; i < count_; ++i) {
    floats[i] = core::bf16_to_float(halves[i]);
  }
  return floats;
}

}  // namespace tessera::test

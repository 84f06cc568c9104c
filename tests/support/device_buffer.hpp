#pragma once

#include "tessera/core/dtype.hpp"
#include "tessera/core/stream.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace tessera::test {

/// `count` elements in host or device memory that a test fills and reads as floats.
class DeviceBuffer {
 public:
  DeviceBuffer(std::size_t count, core::DType dtype, bool on_device);

  void fill(const std::function<float(std::size_t)>& value);
  [[nodiscard]] std::vector<float> read() const;  ///< waits for the stream first

  [[nodiscard]] void* data() const { return memory_.get(); }
  [[nodiscard]] core::Stream stream() const { return {}; }  ///< CUDA's default stream, or the CPU

 private:
  std::size_t count_;
  core::DType dtype_;
  bool on_device_;
  std::shared_ptr<void> memory_;
};

}  // namespace tessera::test

#include "support/device_memory.hpp"

#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace tessera::test {

std::shared_ptr<void> allocate(std::size_t bytes, bool on_device) {
  if (on_device) {
    throw std::logic_error("a build without CUDA has no device memory");
  }
  return {std::malloc(bytes), std::free};
}

void copy(void* to, const void* from, std::size_t bytes, bool /*on_device*/) { std::memcpy(to, from, bytes); }

}  // namespace tessera::test

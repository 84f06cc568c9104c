#pragma once

#include <cstddef>
#include <memory>

namespace tessera::test {

/// Host memory, or the current CUDA device's.
std::shared_ptr<void> allocate(std::size_t bytes, bool on_device);

/// Either way between host and device memory, after all work on the default stream.
void copy(void* to, const void* from, std::size_t bytes, bool on_device);

}  // namespace tessera::test

#pragma once

#include <cstddef>
#include <functional>

namespace tessera::checkpoint {

/// How bytes get between the memory that a StateView points to and host memory. An empty function means that the state
/// is host memory and is used in place. Each call returns when the bytes are there.
struct MemoryCopier {
  std::function<void(void* host, const void* state, std::size_t bytes)> to_host;
  std::function<void(void* state, const void* host, std::size_t bytes)> from_host;
};

}  // namespace tessera::checkpoint

#pragma once

namespace tessera::core {

/// A device stream as an opaque value (a cudaStream_t); null stands for the CPU, where everything happens in order.
struct Stream {
  void* handle = nullptr;
};

}  // namespace tessera::core

#pragma once

#include <cstddef>
#include <memory>

namespace tessera::topology {

/// Page-locked host memory, which a GPU copies to and from at the full rate of its bus and beside its computation. In
/// the exact size: frameworks' pools round up to a power of two. Throws Error where the system gives none, and in a
/// build without CUDA, which has nothing to copy from.
std::shared_ptr<std::byte> pinned_memory(std::size_t bytes);

}  // namespace tessera::topology

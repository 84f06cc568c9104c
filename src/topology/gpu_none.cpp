// The build without CUDA: no GPU is ever seen.
#include "tessera/core/error.hpp"
#include "tessera/topology/cuda_versions.hpp"
#include "tessera/topology/pinned_memory.hpp"
#include "topology/gpu.hpp"

namespace tessera::topology {

std::vector<Gpu> visible_gpus() { return {}; }
CudaVersions cuda_versions() { return {}; }

void make_current(const Gpu& gpu) { core::fail("topology", "no CUDA in this build to use {} with", gpu.name); }

std::shared_ptr<std::byte> pinned_memory(std::size_t bytes) {
  core::fail("topology", "no CUDA in this build to pin {} bytes for", bytes);
}

}  // namespace tessera::topology

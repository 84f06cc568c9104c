// The build without CUDA: no GPU is ever seen.
#include "tessera/core/error.hpp"
#include "topology/gpu.hpp"

namespace tessera::topology {

std::vector<Gpu> visible_gpus() { return {}; }

void make_current(const Gpu& gpu) { core::fail("topology", "no CUDA in this build to use {} with", gpu.name); }

}  // namespace tessera::topology

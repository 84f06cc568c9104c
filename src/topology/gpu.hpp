#pragma once

#include "tessera/topology/mesh.hpp"

namespace tessera::topology {

/// Makes `gpu` the calling thread's CUDA device.
void make_current(const Gpu& gpu);

}  // namespace tessera::topology

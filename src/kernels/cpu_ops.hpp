#pragma once

#include "tessera/kernels/ops.hpp"

namespace tessera::kernels {

/// ops_for(CPU) of every build.
const Ops& cpu_ops();

}  // namespace tessera::kernels

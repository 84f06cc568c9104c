#pragma once

#include <cstdint>

namespace tessera::kernels {

/// Prints what the optimizer of a run on the CPU takes, at `num_elements` of a rank's shard: bytes that each op must
/// move, GB/s, and how much that is of what the same threads stream through memory.
void bench_host_optimizer(std::int64_t num_elements);

}  // namespace tessera::kernels

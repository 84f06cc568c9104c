#pragma once

#include <cstdint>

namespace tessera::kernels {

/// Prints what the host's part of an offloaded step takes, at `num_elements` of a rank's shard: bytes that each op must
/// move, GB/s, and how much that is of what the same threads stream through the same kind of memory (pinned where there
/// is a GPU).
void bench_host_optimizer(std::int64_t num_elements);

}  // namespace tessera::kernels

#pragma once

#include "tessera/comm/collectives.hpp"

#include <ATen/core/Tensor.h>

namespace tessera::engine {

/// Adds up a contiguous fp32 or bf16 tensor over the ranks, in place. The device's current stream waits for it.
/// Collective over the run.
void sum_over_ranks(comm::Collectives& collectives, at::Tensor& values);

/// Every rank's tensor (contiguous, fp32 or bf16, of the same shape): [ranks, shape...]; on one rank a view of
/// `mine`. The device's current stream waits for it. Collective over the run.
at::Tensor gather_over_ranks(comm::Collectives& collectives, const at::Tensor& mine);

}  // namespace tessera::engine

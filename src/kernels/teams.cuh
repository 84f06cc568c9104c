#pragma once

namespace tessera::kernels {

/// A barrier of all the block's threads, some of which met at named barriers before, not all of them equally often.
/// One __syncthreads() is enough; compute-sanitizer's racecheck (2025.3) loses count, and sees hazards across it unless
/// there is a second one (docs/performance.md).
__device__ __forceinline__ void synchronise_after_teams() {
  __syncthreads();
  __syncthreads();
}

}  // namespace tessera::kernels

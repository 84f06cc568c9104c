#include "kernels/self_attention/short_cuda.hpp"
#include "tessera/core/error.hpp"

// For GPUs that are no Hopper: other tensor cores, other kernels. None are written yet.

namespace tessera::kernels::self_attention {

bool is_short(const Dims& /*dims*/, std::int64_t /*head_dim*/) { return false; }

void launch_short_forward(const ForwardArgs& /*args*/, cudaStream_t /*stream*/) {
  core::fail("kernels", "self_attention: the kernels for short sequences are not in this build");
}

void launch_short_backward(const BackwardArgs& /*args*/, cudaStream_t /*stream*/) {
  core::fail("kernels", "self_attention: the kernels for short sequences are not in this build");
}

}  // namespace tessera::kernels::self_attention

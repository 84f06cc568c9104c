#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace tessera::kernels {

/// Which numbers a tensor is filled with. Element i of the whole tensor depends on (key, i) alone, through Philox, so
/// that every rank, world size and piece of it gets the same.
struct RandomStream {
  std::uint64_t key = 0;
  std::int64_t first_element = 0;  ///< the index in the whole tensor of the piece's first element
};

/// Normal by Box-Muller: elements 4c..4c+3 come from philox(key, c, 0). Evaluated in fp64, rounded to fp32 and from
/// that to the tensor's type. CPU and CUDA differ by no more than one unit in the last place of fp32, and seldom do,
/// because their fp64 log, cos and sin are good to a few units in fp64's last place.
using FillNormal = void(at::Tensor& flat, const RandomStream& stream, double mean, double std);

/// Uniform in [low, high): low + (high - low) u with 24 random bits u, rounded as above but never up to `high`. The
/// same bits on CPU and CUDA.
using FillUniform = void(at::Tensor& flat, const RandomStream& stream, double low, double high);

namespace cpu {
FillNormal fill_normal;
FillUniform fill_uniform;
}  // namespace cpu

namespace cuda {
FillNormal fill_normal;
FillUniform fill_uniform;
}  // namespace cuda

}  // namespace tessera::kernels

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

/// Normal by Box-Muller: elements 4c..4c+3 come from philox(key, c, 0). fp32, then rounded to the tensor's type.
using FillNormal = void(at::Tensor& flat, const RandomStream& stream, double mean, double std);

/// Uniform in [low, high).
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

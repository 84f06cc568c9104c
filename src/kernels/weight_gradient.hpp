#pragma once

#include "tessera/kernels/gradient.hpp"

#include <ATen/core/Tensor.h>

#include <string_view>

namespace tessera::kernels {

/// The target must be fp32 or bf16, contiguous, of `size` elements, on `device`.
void check_target(std::string_view op, const GradientTarget& target, std::int64_t size, const at::Device& device);

/// Writes or adds `gradient` (fp32): the sum is taken in fp32 and rounded once.
void store_weight_gradient(const at::Tensor& gradient, const GradientTarget& target);

}  // namespace tessera::kernels

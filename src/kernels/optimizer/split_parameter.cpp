#include "tessera/core/error.hpp"
#include "tessera/core/scale_blocks.hpp"
#include "tessera/kernels/optimizer.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/bitwise_left_shift.h>
#include <ATen/ops/bitwise_or.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/full.h>
#include <ATen/ops/where.h>

// core::split_float in ATen's operations, of any device.

namespace tessera::kernels {

Parameter narrow(const Parameter& parameter, std::int64_t begin, std::int64_t size) {
  const at::Tensor& low = parameter.low;
  return {parameter.weight.narrow(0, begin, size), low.defined() ? low.narrow(0, begin, size) : at::Tensor()};
}

Moment narrow(const Moment& moment, std::int64_t begin, std::int64_t size) {
  if (!moment.scales.defined()) {
    return {moment.values.narrow(0, begin, size), {}};
  }
  core::require(begin % core::kScaleBlock == 0, "kernels", "8-bit moments from element {} on: not the first of a block",
                begin);
  return {moment.values.narrow(0, begin, size),
          moment.scales.narrow(0, begin / core::kScaleBlock, core::num_scale_blocks(size))};
}

void split_parameter(const at::Tensor& values, const Parameter& parameter) {
  core::require(values.scalar_type() == at::kFloat, "kernels", "split_parameter: the values must be fp32");
  if (!parameter.low.defined()) {
    parameter.weight.copy_(values);
    return;
  }
  const at::Tensor bits =
      at::where(values.isnan(), at::full({}, 0x7FC00000, values.options().dtype(at::kInt)), values.view(at::kInt));
  parameter.low.copy_(bits.bitwise_and(0xFFFF));
  parameter.weight.view(at::kShort).copy_(at::bitwise_right_shift(bits + 0x8000, 16));
}

at::Tensor join_parameter(const Parameter& parameter) {
  if (!parameter.low.defined()) {
    return parameter.weight;
  }
  const at::Tensor low = parameter.low.to(at::kInt);
  const at::Tensor rounded_up = low.lt(0).to(at::kInt);
  const at::Tensor upper = parameter.weight.view(at::kShort).to(at::kInt) - rounded_up;
  return at::bitwise_or(at::bitwise_left_shift(upper, 16), low.bitwise_and(0xFFFF)).view(at::kFloat);
}

}  // namespace tessera::kernels

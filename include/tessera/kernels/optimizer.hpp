#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

// All tensors are flat ranges of the same length.

namespace tessera::kernels {

struct AdamWParams {
  double lr = 0;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0;
  double gradient_scale = 1;  ///< multiplies the gradient first: averaging and clipping in one
  std::int64_t step = 1;      ///< this update's number, from 1, for the bias correction
};

/// The fp32 numbers that an optimizer updates: `weight` itself where that is fp32; else the bf16 weight, which is the
/// number rounded to nearest, and what rounding took from it (core::SplitFloat).
struct Parameter {
  at::Tensor weight;  ///< fp32 or bf16
  at::Tensor low;     ///< int16; undefined where `weight` is fp32
};

/// Elements [begin, begin + size).
Parameter narrow(const Parameter& parameter, std::int64_t begin, std::int64_t size);
/// Stores fp32 `values`.
void split_parameter(const at::Tensor& values, const Parameter& parameter);
/// The fp32 values: `weight` itself where that is fp32.
at::Tensor join_parameter(const Parameter& parameter);

/// A running mean that an optimizer keeps, in one of three ways:
///   fp32;
///   bf16 that is rounded stochastically: up or down with the probability that keeps the mean, so that changes below
///   half a unit are not lost. The random bits are a hash of the step's number and of the element's index among all
///   that the optimizer updates, so that no cutting into ranges, ranks or devices changes them; 8 bits in blocks
///   (core::kScaleBlock), rounded to the nearest code.
struct Moment {
  Moment() = default;
  Moment(at::Tensor whole, at::Tensor of_blocks = {}) : values(std::move(whole)), scales(std::move(of_blocks)) {}

  at::Tensor values;  ///< fp32, bf16, or uint8: codes of core::DynamicMap
  at::Tensor scales;  ///< fp32, of the codes' blocks; undefined where there are no codes
};

/// Elements [begin, begin + size): of codes, `begin` is the first of a block.
Moment narrow(const Moment& moment, std::int64_t begin, std::int64_t size);

struct AdamWState {
  Parameter parameter;             ///< updated
  at::Tensor gradient;             ///< bf16 or fp32, read
  Moment exp_avg;                  ///< of either sign
  Moment exp_avg_sq;               ///< none negative; kept as exp_avg is
  std::int64_t first_element = 0;  ///< index of the range's first element
};

/// One AdamW update with decoupled decay (Loshchilov and Hutter 2019; the operations in the order of
/// torch.optim.AdamW): p *= 1 - lr wd; m += (g - m) (1 - b1); v = b2 v + (1 - b2) g^2;
/// p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps). Every operation is fp32 and rounded, and the scalars
/// are computed in fp64 and rounded once, so that every implementation and device gives the same bits. The parameter
/// takes the new moments before these are rounded to a narrower type.
using AdamWStep = void(const AdamWState& state, const AdamWParams& params);

struct MomentumParams {
  double lr = 0;
  double momentum = 0.9;
  double weight_decay = 0;
  double gradient_scale = 1;  ///< as AdamWParams's
  double trust_ratio = 1;     ///< LARS's of this parameter; 1: plain SGD
  std::int64_t step = 1;      ///< this update's number, from 1: of the random bits
};

struct MomentumState {
  Parameter parameter;             ///< updated
  at::Tensor gradient;             ///< bf16 or fp32, read
  Moment momentum_buffer;          ///< of either sign
  std::int64_t first_element = 0;  ///< as AdamWState's
};

/// One update of SGD with momentum as torch.optim.SGD makes it (no dampening; decay is part of the gradient), times
/// the trust ratio of LARS (You, Gitman and Ginsburg 2017; the order of MAE's util/lars.py):
/// d = (g + wd p) q; b = momentum b + d; p -= lr b. Rounded as AdamWStep.
using MomentumStep = void(const MomentumState& state, const MomentumParams& params);

/// Adds [sum of p^2, sum of p g, sum of g^2] to `sums` (fp64, on the device): of these LARS's ratio of norms is made.
/// `gradient` is bf16 or fp32. The order of summation depends on the length alone.
using AddTrustSums = void(const Parameter& parameter, const at::Tensor& gradient, at::Tensor& sums);

/// average (fp32) += (parameter - average) (1 - decay), as timm's ModelEmaV3 (torch.lerp). Rounded as AdamWStep.
using UpdateAverage = void(const Parameter& parameter, const at::Tensor& average, double decay);

/// Adds the sum of squares of `flat` (bf16 or fp32), all in fp64, to the fp64 scalar `total`. The order of summation
/// depends on the length alone, so that the result is the same in every run; that of devices differs, and with it their
/// results in the last bits of fp64, which the step rounds away (to fp32, but for one case in 1e8).
using AddSumOfSquares = void(const at::Tensor& flat, at::Tensor& total);

/// destination (fp32) += source (fp32 or bf16).
using Accumulate = void(at::Tensor& destination, const at::Tensor& source);

namespace reference {
AdamWStep adamw_step;
MomentumStep momentum_step;
AddTrustSums add_trust_sums;
UpdateAverage update_average;
AddSumOfSquares add_sum_of_squares;
Accumulate accumulate;
}  // namespace reference

/// One pass over memory with vector instructions, on all of the rank's threads; the steps give the bits of reference::.
namespace cpu {
AdamWStep adamw_step;
MomentumStep momentum_step;
AddTrustSums add_trust_sums;
UpdateAverage update_average;
AddSumOfSquares add_sum_of_squares;
Accumulate accumulate;
}  // namespace cpu

namespace cuda {
AdamWStep adamw_step;
MomentumStep momentum_step;
AddTrustSums add_trust_sums;
UpdateAverage update_average;
AddSumOfSquares add_sum_of_squares;
Accumulate accumulate;
}  // namespace cuda

}  // namespace tessera::kernels

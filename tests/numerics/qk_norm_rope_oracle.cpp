#include "numerics/qk_norm_rope_oracle.hpp"

#include "support/kernel_test.hpp"

#include <ATen/ATen.h>

namespace tessera::test {
namespace {

at::Tensor swap(const at::Tensor& x, double sign) {
  const auto halves = x.chunk(2, -1);
  return at::cat({sign * halves[1], halves[0]}, -1);
}

}  // namespace

QkNormRopeOracle::QkNormRopeOracle(const at::Tensor& heads_BTAE, const at::Tensor& weight_E,
                                   const kernels::RotaryTable& rotary, double eps, const at::Tensor& dy_BTAE) {
  const at::Tensor x = exact_leaf(heads_BTAE);
  const at::Tensor weight = exact_leaf(weight_E);
  const at::Tensor cos = exact(rotary.cos_TE2).repeat({1, 2}).unsqueeze(1);
  const at::Tensor sin = exact(rotary.sin_TE2).repeat({1, 2}).unsqueeze(1);
  const at::Tensor rstd = (x.square().mean(-1, true) + eps).rsqrt();
  const at::Tensor normalised = x * rstd;
  const at::Tensor normed = normalised * weight;
  const at::Tensor y = normed * cos + swap(normed, -1) * sin;
  y.backward(exact(dy_BTAE));

  const c10::NoGradGuard no_grad;
  y_BTAE = y.detach();
  dx_BTAE = x.grad();
  dweight_E = weight.grad();
  y_size_BTAE = normed.abs() * cos.abs() + swap(normed.abs(), 1) * sin.abs();
  const at::Tensor g = exact(dy_BTAE).abs() * cos.abs() + swap(exact(dy_BTAE).abs(), 1) * sin.abs();
  const at::Tensor gw = g * weight.abs();
  dx_size_BTAE = rstd * (gw + normalised.abs() * (gw * normalised.abs()).mean(-1, true));
  dweight_size_E = (g * normalised.abs()).sum({0, 1, 2});
}

}  // namespace tessera::test

#include "tessera/kernels/swiglu.hpp"

#include "kernels/swiglu/arguments.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>

// Shapes: N rows, F features.

namespace tessera::kernels::reference {

at::Tensor swiglu_forward(const at::Tensor& gate_up_N2F) {
  swiglu::check_forward(gate_up_N2F);
  const at::Tensor wide_N2F = gate_up_N2F.to(at::kFloat);
  const std::int64_t num_features = gate_up_N2F.size(1) / 2;
  const at::Tensor gate_NF = wide_N2F.narrow(1, 0, num_features);
  const at::Tensor up_NF = wide_N2F.narrow(1, num_features, num_features);
  return (gate_NF * gate_NF.sigmoid() * up_NF).to(gate_up_N2F.scalar_type());
}

// silu(g) = g s with s = sigmoid(g), and silu'(g) = s + g s (1 - s).
void swiglu_backward(at::Tensor& dy_NF, at::Tensor& gate_up_N2F) {
  swiglu::check_backward(dy_NF, gate_up_N2F);
  const at::Tensor wide_N2F = gate_up_N2F.to(at::kFloat);
  const at::Tensor wide_dy_NF = dy_NF.to(at::kFloat);
  const std::int64_t num_features = dy_NF.size(1);
  const at::Tensor gate_NF = wide_N2F.narrow(1, 0, num_features);
  const at::Tensor up_NF = wide_N2F.narrow(1, num_features, num_features);
  const at::Tensor sigmoid_NF = gate_NF.sigmoid();
  const at::Tensor slope_NF = sigmoid_NF * (1 + gate_NF * (1 - sigmoid_NF));
  const at::Tensor dgate_NF = wide_dy_NF * up_NF * slope_NF;
  const at::Tensor dup_NF = wide_dy_NF * gate_NF * sigmoid_NF;
  dy_NF.copy_(gate_NF * sigmoid_NF * up_NF);
  gate_up_N2F.copy_(at::cat({dgate_NF, dup_NF}, 1));
}

}  // namespace tessera::kernels::reference

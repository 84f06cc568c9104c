#include "kernels/swiglu/swiglu_cuda.hpp"

#include "kernels/checks.hpp"
#include "kernels/cuda_scope.hpp"
#include "kernels/swiglu/arguments.hpp"
#include "tessera/kernels/swiglu.hpp"

#include <ATen/ATen.h>

// Shapes: N rows, F features.

namespace tessera::kernels::cuda {

at::Tensor swiglu_forward(const at::Tensor& gate_up_N2F) {
  const CudaScope scope("swiglu_forward", gate_up_N2F);
  swiglu::check_forward(gate_up_N2F);
  const std::int64_t num_rows = gate_up_N2F.size(0);
  const std::int64_t num_features = gate_up_N2F.size(1) / 2;
  const at::Tensor y_NF = at::empty({num_rows, num_features}, gate_up_N2F.options());
  swiglu::launch_forward({.gate_up_N2F = gate_up_N2F.const_data_ptr(),
                          .y_NF = y_NF.mutable_data_ptr(),
                          .num_rows = num_rows,
                          .num_features = num_features},
                         dtype_of(gate_up_N2F), scope.stream());
  scope.check_launch();
  return y_NF;
}

void swiglu_backward(at::Tensor& dy_NF, at::Tensor& gate_up_N2F) {
  const CudaScope scope("swiglu_backward", gate_up_N2F);
  swiglu::check_backward(dy_NF, gate_up_N2F);
  swiglu::launch_backward({.dy_NF = dy_NF.mutable_data_ptr(),
                           .gate_up_N2F = gate_up_N2F.mutable_data_ptr(),
                           .num_rows = dy_NF.size(0),
                           .num_features = dy_NF.size(1)},
                          dtype_of(gate_up_N2F), scope.stream());
  scope.check_launch();
}

}  // namespace tessera::kernels::cuda

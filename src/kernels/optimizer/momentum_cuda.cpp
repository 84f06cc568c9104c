#include "kernels/optimizer/momentum_cuda.hpp"

#include "kernels/checks.hpp"
#include "kernels/cuda_scope.hpp"
#include "kernels/optimizer/arguments.hpp"
#include "tessera/kernels/optimizer.hpp"

#include <ATen/ATen.h>

// All tensors are flat ranges of the same length.

namespace tessera::kernels::cuda {

void momentum_step(const MomentumState& state, const MomentumParams& params) {
  const CudaScope scope("momentum_step", state.weight);
  optimizer::check_momentum(state, params);
  const bool has_master = state.master.defined();
  optimizer::launch_momentum({.weight = has_master ? state.weight.mutable_data_ptr() : nullptr,
                              .gradient = state.gradient.const_data_ptr(),
                              .gradient_dtype = dtype_of(state.gradient),
                              .master = (has_master ? state.master : state.weight).mutable_data_ptr<float>(),
                              .buffer = state.momentum_buffer.mutable_data_ptr<float>(),
                              .size = state.weight.numel()},
                             optimizer::constants_of(params), scope.stream());
  scope.check_launch();
}

void add_trust_sums(const at::Tensor& parameter, const at::Tensor& gradient, at::Tensor& sums) {
  const CudaScope scope("add_trust_sums", parameter);
  optimizer::check_trust_sums(parameter, gradient, sums);
  const at::Tensor partials = at::empty({optimizer::num_trust_partials(parameter.numel())}, sums.options());
  optimizer::launch_trust_sums({.parameter = parameter.const_data_ptr<float>(),
                                .gradient = gradient.const_data_ptr(),
                                .gradient_dtype = dtype_of(gradient),
                                .size = parameter.numel(),
                                .partials = partials.mutable_data_ptr<double>(),
                                .sums = sums.mutable_data_ptr<double>()},
                               scope.stream());
  scope.check_launch();
}

}  // namespace tessera::kernels::cuda

#include "kernels/optimizer/momentum_cuda.hpp"

#include "kernels/checks.hpp"
#include "kernels/cuda_scope.hpp"
#include "kernels/optimizer/arguments.hpp"
#include "tessera/kernels/optimizer.hpp"

#include <ATen/ATen.h>

// All tensors are flat ranges of the same length.

namespace tessera::kernels::cuda {

void momentum_step(const MomentumState& state, const MomentumParams& params) {
  const CudaScope scope("momentum_step", state.gradient);
  optimizer::check_momentum(state, params);
  optimizer::launch_momentum({.parameter = optimizer::pointers_of(state.parameter),
                              .gradient = state.gradient.const_data_ptr(),
                              .gradient_dtype = dtype_of(state.gradient),
                              .buffer = optimizer::pointers_of(state.momentum_buffer),
                              .bits = optimizer::rounding_bits(params.step, state.first_element),
                              .size = state.gradient.numel()},
                             optimizer::constants_of(params), scope.stream());
  scope.check_launch();
}

void add_trust_sums(const Parameter& parameter, const at::Tensor& gradient, at::Tensor& sums) {
  const CudaScope scope("add_trust_sums", gradient);
  optimizer::check_trust_sums(parameter, gradient, sums);
  const at::Tensor partials = at::empty({optimizer::num_trust_partials(gradient.numel())}, sums.options());
  optimizer::launch_trust_sums({.parameter = optimizer::pointers_of(parameter),
                                .gradient = gradient.const_data_ptr(),
                                .gradient_dtype = dtype_of(gradient),
                                .size = gradient.numel(),
                                .partials = partials.mutable_data_ptr<double>(),
                                .sums = sums.mutable_data_ptr<double>()},
                               scope.stream());
  scope.check_launch();
}

}  // namespace tessera::kernels::cuda

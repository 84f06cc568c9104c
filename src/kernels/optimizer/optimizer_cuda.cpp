#include "kernels/optimizer/optimizer_cuda.hpp"

#include "kernels/checks.hpp"
#include "kernels/cuda_scope.hpp"
#include "kernels/optimizer/arguments.hpp"
#include "tessera/kernels/optimizer.hpp"

#include <ATen/ATen.h>

// All tensors are flat ranges of the same length.

namespace tessera::kernels::cuda {

void adamw_step(const AdamWState& state, const AdamWParams& params) {
  const CudaScope scope("adamw_step", state.gradient);
  optimizer::check_adamw(state, params);
  optimizer::launch_adamw({.parameter = optimizer::pointers_of(state.parameter),
                           .gradient = state.gradient.const_data_ptr(),
                           .gradient_dtype = dtype_of(state.gradient),
                           .exp_avg = optimizer::pointers_of(state.exp_avg),
                           .exp_avg_sq = optimizer::pointers_of(state.exp_avg_sq),
                           .bits = optimizer::rounding_bits(params.step, state.first_element),
                           .size = state.gradient.numel()},
                          optimizer::constants_of(params), scope.stream());
  scope.check_launch();
}

void add_sum_of_squares(const at::Tensor& flat, at::Tensor& total) {
  const CudaScope scope("add_sum_of_squares", flat);
  optimizer::check_sum_of_squares(flat, total);
  const at::Tensor partials = at::empty({optimizer::num_sum_partials(flat.numel())}, total.options());
  optimizer::launch_sum_of_squares({.values = flat.const_data_ptr(),
                                    .dtype = dtype_of(flat),
                                    .size = flat.numel(),
                                    .partials = partials.mutable_data_ptr<double>(),
                                    .total = total.mutable_data_ptr<double>()},
                                   scope.stream());
  scope.check_launch();
}

void accumulate(at::Tensor& destination, const at::Tensor& source) {
  const CudaScope scope("accumulate", destination);
  optimizer::check_accumulate(destination, source);
  optimizer::launch_accumulate({.destination = destination.mutable_data_ptr<float>(),
                                .source = source.const_data_ptr(),
                                .source_dtype = dtype_of(source),
                                .size = destination.numel()},
                               scope.stream());
  scope.check_launch();
}

}  // namespace tessera::kernels::cuda

#include "kernels/optimizer/average_cuda.hpp"

#include "kernels/cuda_scope.hpp"
#include "kernels/optimizer/arguments.hpp"
#include "tessera/kernels/optimizer.hpp"

#include <ATen/core/Tensor.h>

namespace tessera::kernels::cuda {

void update_average(const Parameter& parameter, const at::Tensor& average, double decay) {
  const CudaScope scope("update_average", average);
  optimizer::check_average(parameter, average);
  optimizer::launch_average({.parameter = optimizer::pointers_of(parameter),
                             .average = average.mutable_data_ptr<float>(),
                             .share = static_cast<float>(1 - decay),
                             .size = average.numel()},
                            scope.stream());
  scope.check_launch();
}

}  // namespace tessera::kernels::cuda

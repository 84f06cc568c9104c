#include "kernels/weight_gradient.hpp"

#include "kernels/checks.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

namespace tessera::kernels {

void check_target(std::string_view op, const GradientTarget& target, std::int64_t size, const at::Device& device) {
  Check(op, "weight gradient", target.into).is_float().has_shape({size}).is_contiguous().is_on(device);
}

void store_weight_gradient(const at::Tensor& gradient, const GradientTarget& target) {
  const at::Tensor into = target.into;
  into.copy_(target.accumulate ? into.to(at::kFloat) + gradient : gradient);
}

}  // namespace tessera::kernels

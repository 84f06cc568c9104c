#include "kernels/swiglu/arguments.hpp"

#include "kernels/checks.hpp"
#include "tessera/core/error.hpp"

#include <ATen/core/Tensor.h>

namespace tessera::kernels::swiglu {

void check_forward(const at::Tensor& gate_up_N2F) {
  Check("swiglu", "gate_up", gate_up_N2F).is_float().has_dim(2).is_contiguous();
  core::require(gate_up_N2F.size(1) % 2 == 0, "kernels", "swiglu: gate_up has {} columns; it must have an even number",
                gate_up_N2F.size(1));
}

void check_backward(const at::Tensor& dy_NF, const at::Tensor& gate_up_N2F) {
  check_forward(gate_up_N2F);
  Check("swiglu_backward", "dy", dy_NF)
      .has_type(gate_up_N2F.scalar_type())
      .has_shape({gate_up_N2F.size(0), gate_up_N2F.size(1) / 2})
      .is_contiguous()
      .is_on(gate_up_N2F.device());
}

}  // namespace tessera::kernels::swiglu

#pragma once

#include "tessera/kernels/attention.hpp"

// What every implementation demands of its arguments.

namespace tessera::kernels::attention {

void check_forward(const at::Tensor& q_BTHE, const at::Tensor& k_BTKE, const at::Tensor& v_BTKE);

void check_backward(const at::Tensor& dout_BTHE, const at::Tensor& q_BTHE, const at::Tensor& k_BTKE,
                    const at::Tensor& v_BTKE, const AttentionResult& forward);

}  // namespace tessera::kernels::attention

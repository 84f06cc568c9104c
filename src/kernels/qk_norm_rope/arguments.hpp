#pragma once

#include "tessera/kernels/qk_norm_rope.hpp"

// What every implementation demands of its arguments.

namespace tessera::kernels::qk_norm_rope {

void check_forward(const at::Tensor& qkv_NC, const at::Tensor& q_weight_E, const at::Tensor& k_weight_E,
                   const RotaryTable& rotary, const HeadShape& shape);

void check_backward(const at::Tensor& dq_BTHE, const at::Tensor& dk_BTKE, const at::Tensor& dv_BTKE,
                    const at::Tensor& qkv_NC, const HeadShape& shape, const QkNormRopeGradients& weight_gradients);

}  // namespace tessera::kernels::qk_norm_rope

#include "tessera/kernels/self_attention.hpp"

#include "kernels/self_attention/one_by_one.hpp"

namespace tessera::kernels::cuda {

AttentionResult self_attention_forward(const SelfAttentionInputs& in) {
  return self_attention::forward_one_by_one(ops_for(c10::DeviceType::CUDA), in);
}

at::Tensor self_attention_backward(const at::Tensor& dout_BTHE, const SelfAttentionInputs& in,
                                   const AttentionResult& forward, const QkNormRopeGradients& weight_gradients) {
  return self_attention::backward_one_by_one(ops_for(c10::DeviceType::CUDA), dout_BTHE, in, forward, weight_gradients);
}

}  // namespace tessera::kernels::cuda

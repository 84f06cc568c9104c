#include "kernels/attention/arguments.hpp"
#include "kernels/checks.hpp"
#include "kernels/column_sum.hpp"
#include "kernels/cuda_scope.hpp"
#include "kernels/qk_norm_rope/arguments.hpp"
#include "kernels/self_attention/one_by_one.hpp"
#include "kernels/self_attention/short_cuda.hpp"
#include "kernels/weight_gradient.hpp"
#include "tessera/core/error.hpp"
#include "tessera/kernels/self_attention.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>

// Shapes: B images, T tokens, N = B*T rows, H query heads, K key/value heads, E elements a head, C = (H + 2K) E,
// P partial rows.

namespace tessera::kernels::cuda {
namespace {

self_attention::Dims dims_of(const HeadShape& shape) {
  return {.batch = static_cast<int>(shape.batch),
          .tokens = static_cast<int>(shape.tokens),
          .query_heads = static_cast<int>(shape.query_heads),
          .key_heads = static_cast<int>(shape.key_heads)};
}

bool are_aligned(std::initializer_list<at::Tensor> tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const at::Tensor& tensor) {
    return reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % 16 == 0;
  });
}

bool is_for_short(const SelfAttentionInputs& in) {
  return in.qkv_NC.scalar_type() == at::kBFloat16 && in.qkv_NC.numel() > 0 &&
         self_attention::is_short(dims_of(in.shape), in.shape.head_dim) &&
         are_aligned({in.qkv_NC, in.q_weight_E, in.k_weight_E});
}

self_attention::Inputs pointers_of(const SelfAttentionInputs& in) {
  return {.qkv_NC = in.qkv_NC.const_data_ptr(),
          .q_weight_E = in.q_weight_E.const_data_ptr(),
          .k_weight_E = in.k_weight_E.const_data_ptr(),
          .cos_TE2 = in.rotary.cos_TE2.const_data_ptr<float>(),
          .sin_TE2 = in.rotary.sin_TE2.const_data_ptr<float>(),
          .dims = dims_of(in.shape),
          .eps = static_cast<float>(in.eps)};
}

void check_backward(const at::Tensor& dout_BTHE, const SelfAttentionInputs& in, const AttentionResult& forward,
                    const QkNormRopeGradients& weight_gradients) {
  const HeadShape& shape = in.shape;
  const c10::Device device = in.qkv_NC.device();
  qk_norm_rope::check_forward(in.qkv_NC, in.q_weight_E, in.k_weight_E, in.rotary, shape);
  for (const at::Tensor* tensor : {&dout_BTHE, &forward.out_BTHE}) {
    Check("self_attention_backward", tensor == &dout_BTHE ? "dout" : "out", *tensor)
        .has_type(in.qkv_NC.scalar_type())
        .has_shape({shape.batch, shape.tokens, shape.query_heads, shape.head_dim})
        .is_on(device);
  }
  Check("self_attention_backward", "logsumexp", forward.logsumexp_BHT)
      .has_type(at::kFloat)
      .has_shape({shape.batch, shape.query_heads, shape.tokens})
      .is_contiguous()
      .is_on(device);
  check_target("self_attention_backward", weight_gradients.q_weight, shape.head_dim, device);
  check_target("self_attention_backward", weight_gradients.k_weight, shape.head_dim, device);
}

void sum_partials(const at::Tensor& partial_PE, const GradientTarget& target, const CudaScope& scope) {
  launch_column_sum({.partial_PD = partial_PE.const_data_ptr<float>(),
                     .num_rows = partial_PE.size(0),
                     .num_columns = partial_PE.size(1),
                     .into_D = target.into.mutable_data_ptr(),
                     .dtype = dtype_of(target.into),
                     .accumulate = target.accumulate},
                    scope.stream());
  scope.check_launch();
}

}  // namespace

AttentionResult self_attention_forward(const SelfAttentionInputs& in) {
  const CudaScope scope("self_attention_forward", in.qkv_NC);
  qk_norm_rope::check_forward(in.qkv_NC, in.q_weight_E, in.k_weight_E, in.rotary, in.shape);
  if (!is_for_short(in)) {
    return self_attention::forward_one_by_one(ops_for(c10::DeviceType::CUDA), in);
  }
  const HeadShape& shape = in.shape;
  AttentionResult result;
  result.out_BTHE = at::empty({shape.batch, shape.tokens, shape.query_heads, shape.head_dim}, in.qkv_NC.options());
  result.logsumexp_BHT =
      at::empty({shape.batch, shape.query_heads, shape.tokens}, in.qkv_NC.options().dtype(at::kFloat));
  self_attention::launch_short_forward({.in = pointers_of(in),
                                        .out_BTHE = result.out_BTHE.mutable_data_ptr(),
                                        .logsumexp_BHT = result.logsumexp_BHT.mutable_data_ptr<float>()},
                                       scope.stream());
  scope.check_launch();
  return result;
}

at::Tensor self_attention_backward(const at::Tensor& dout_BTHE, const SelfAttentionInputs& in,
                                   const AttentionResult& forward, const QkNormRopeGradients& weight_gradients) {
  const CudaScope scope("self_attention_backward", in.qkv_NC);
  if (!is_for_short(in)) {
    return self_attention::backward_one_by_one(ops_for(c10::DeviceType::CUDA), dout_BTHE, in, forward,
                                               weight_gradients);
  }
  check_backward(dout_BTHE, in, forward, weight_gradients);
  const at::Tensor dout = dout_BTHE.contiguous();
  core::require(are_aligned({dout, forward.out_BTHE}) && forward.out_BTHE.is_contiguous(), "kernels",
                "self_attention_backward: out must be what self_attention_forward gave, and dout begin at 16 bytes");
  at::Tensor dqkv_NC = at::empty_like(in.qkv_NC);
  const at::Tensor partial_2PE =
      at::empty({2, in.shape.batch * in.shape.key_heads, in.shape.head_dim}, in.qkv_NC.options().dtype(at::kFloat));
  const at::Tensor q_partial_PE = partial_2PE[0];
  const at::Tensor k_partial_PE = partial_2PE[1];
  self_attention::launch_short_backward({.in = pointers_of(in),
                                         .dout_BTHE = dout.const_data_ptr(),
                                         .out_BTHE = forward.out_BTHE.mutable_data_ptr(),
                                         .logsumexp_BHT = forward.logsumexp_BHT.const_data_ptr<float>(),
                                         .dqkv_NC = dqkv_NC.mutable_data_ptr(),
                                         .q_partial_PE = q_partial_PE.mutable_data_ptr<float>(),
                                         .k_partial_PE = k_partial_PE.mutable_data_ptr<float>()},
                                        scope.stream());
  scope.check_launch();
  sum_partials(q_partial_PE, weight_gradients.q_weight, scope);
  sum_partials(k_partial_PE, weight_gradients.k_weight, scope);
  return dqkv_NC;
}

}  // namespace tessera::kernels::cuda

#include "kernels/attention/arguments.hpp"
#include "kernels/cuda_scope.hpp"
#include "tessera/kernels/attention.hpp"

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <tuple>

// Shapes: B images, T tokens, H query heads, K key/value heads, E elements a head.

namespace tessera::kernels::cuda {
namespace {

/// cuDNN's kernels for heads of more than 128 elements need Hopper or later, and no Qwen3 has such.
bool is_for_cudnn(const at::Tensor& q_BTHE) {
  return q_BTHE.scalar_type() == at::kBFloat16 && q_BTHE.size(1) > 1 && q_BTHE.size(3) % 8 == 0 &&
         q_BTHE.size(3) <= 128;
}

/// cuDNN reads 16 bytes at a time.
at::Tensor heads_first(const at::Tensor& x_BTHE) {
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(x_BTHE.const_data_ptr()) % 16 == 0;
  return (is_aligned ? x_BTHE : x_BTHE.clone(at::MemoryFormat::Contiguous)).transpose(1, 2);
}

/// While it lives, cuDNN adds up the query's gradient in a fixed order, not by atomics in any order. The other thing
/// that ATen's switch does, filling every new tensor with NaN, is kept off.
class DeterministicAttention {
 public:
  DeterministicAttention()
      : was_on_(at::globalContext().deterministicAlgorithms()),
        was_warning_(at::globalContext().deterministicAlgorithmsWarnOnly()),
        was_filling_(at::globalContext().deterministicFillUninitializedMemory()) {
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
    at::globalContext().setDeterministicFillUninitializedMemory(false);
  }
  DeterministicAttention(const DeterministicAttention&) = delete;
  DeterministicAttention& operator=(const DeterministicAttention&) = delete;
  ~DeterministicAttention() {
    at::globalContext().setDeterministicAlgorithms(was_on_, was_warning_);
    at::globalContext().setDeterministicFillUninitializedMemory(was_filling_);
  }

 private:
  bool was_on_;
  bool was_warning_;
  bool was_filling_;
};

}  // namespace

AttentionResult attention_forward(const at::Tensor& q_BTHE, const at::Tensor& k_BTKE, const at::Tensor& v_BTKE) {
  const CudaScope scope("attention_forward", q_BTHE);
  if (!is_for_cudnn(q_BTHE)) {
    return reference::attention_forward(q_BTHE, k_BTKE, v_BTKE);
  }
  attention::check_forward(q_BTHE, k_BTKE, v_BTKE);
  const std::int64_t tokens = q_BTHE.size(1);
  const auto result = at::_cudnn_attention_forward(
      heads_first(q_BTHE), heads_first(k_BTKE), heads_first(v_BTKE), /*attn_bias=*/std::nullopt,
      /*cum_seq_q=*/std::nullopt, /*cum_seq_k=*/std::nullopt, tokens, tokens, /*compute_log_sumexp=*/true,
      /*dropout_p=*/0, /*is_causal=*/true, /*return_debug_mask=*/false);
  return {heads_first(std::get<0>(result)), std::get<1>(result).squeeze(-1), std::get<6>(result), std::get<7>(result)};
}

AttentionGradients attention_backward(const at::Tensor& dout_BTHE, const at::Tensor& q_BTHE, const at::Tensor& k_BTKE,
                                      const at::Tensor& v_BTKE, const AttentionResult& forward) {
  const CudaScope scope("attention_backward", q_BTHE);
  if (!is_for_cudnn(q_BTHE)) {
    return reference::attention_backward(dout_BTHE, q_BTHE, k_BTKE, v_BTKE, forward);
  }
  attention::check_backward(dout_BTHE, q_BTHE, k_BTKE, v_BTKE, forward);
  const std::int64_t tokens = q_BTHE.size(1);
  // LibTorch finds a plan that it made before by the strides of q, k and v alone: dout must always have the same.
  const at::Tensor dout = dout_BTHE.contiguous();
  const DeterministicAttention deterministic;
  const at::Tensor none;
  const auto [dq, dk, dv] = at::_cudnn_attention_backward(
      heads_first(dout), heads_first(q_BTHE), heads_first(k_BTKE), heads_first(v_BTKE), heads_first(forward.out_BTHE),
      forward.logsumexp_BHT.unsqueeze(-1), forward.philox_seed, forward.philox_offset,
      /*attn_bias=*/none, /*cum_seq_q=*/none, /*cum_seq_k=*/none, tokens, tokens, /*dropout_p=*/0, /*is_causal=*/true);
  return {heads_first(dq), heads_first(dk), heads_first(dv)};
}

}  // namespace tessera::kernels::cuda

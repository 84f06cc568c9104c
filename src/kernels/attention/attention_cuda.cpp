#include "kernels/attention/arguments.hpp"
#include "kernels/cuda_scope.hpp"
#include "tessera/kernels/attention.hpp"

#include <ATen/ATen.h>

#include <tuple>

// Shapes: B images, T tokens, H query heads, K key/value heads, E elements a head.

namespace tessera::kernels::cuda {
namespace {

/// ATen's flash attention has bf16 kernels for heads of up to 256 elements, in steps of 8.
bool is_for_flash(const at::Tensor& q_BTHE) {
  return q_BTHE.scalar_type() == at::kBFloat16 && q_BTHE.size(3) % 8 == 0 && q_BTHE.size(3) <= 256;
}

/// While it lives, flash attention adds up the query's gradient in a fixed order, not by atomics in any order. The
/// other thing that ATen's switch does, filling every new tensor with NaN, is kept off.
class DeterministicFlash {
 public:
  DeterministicFlash()
      : was_on_(at::globalContext().deterministicAlgorithms()),
        was_warning_(at::globalContext().deterministicAlgorithmsWarnOnly()),
        was_filling_(at::globalContext().deterministicFillUninitializedMemory()) {
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
    at::globalContext().setDeterministicFillUninitializedMemory(false);
  }
  DeterministicFlash(const DeterministicFlash&) = delete;
  DeterministicFlash& operator=(const DeterministicFlash&) = delete;
  ~DeterministicFlash() {
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
  if (!is_for_flash(q_BTHE)) {
    return reference::attention_forward(q_BTHE, k_BTKE, v_BTKE);
  }
  attention::check_forward(q_BTHE, k_BTKE, v_BTKE);
  const std::int64_t tokens = q_BTHE.size(1);
  AttentionResult result;
  std::tie(result.out_BTHE, result.logsumexp_BHT, result.rng_state, result.rng_unused, std::ignore) =
      at::_flash_attention_forward(q_BTHE, k_BTKE, v_BTKE, /*cum_seq_q=*/std::nullopt, /*cum_seq_k=*/std::nullopt,
                                   tokens, tokens, /*dropout_p=*/0, /*is_causal=*/true, /*return_debug_mask=*/false);
  return result;
}

AttentionGradients attention_backward(const at::Tensor& dout_BTHE, const at::Tensor& q_BTHE, const at::Tensor& k_BTKE,
                                      const at::Tensor& v_BTKE, const AttentionResult& forward) {
  const CudaScope scope("attention_backward", q_BTHE);
  if (!is_for_flash(q_BTHE)) {
    return reference::attention_backward(dout_BTHE, q_BTHE, k_BTKE, v_BTKE, forward);
  }
  attention::check_backward(dout_BTHE, q_BTHE, k_BTKE, v_BTKE, forward);
  const std::int64_t tokens = q_BTHE.size(1);
  const DeterministicFlash deterministic;
  AttentionGradients gradients;
  std::tie(gradients.dq_BTHE, gradients.dk_BTKE, gradients.dv_BTKE) = at::_flash_attention_backward(
      dout_BTHE, q_BTHE, k_BTKE, v_BTKE, forward.out_BTHE, forward.logsumexp_BHT, /*cum_seq_q=*/at::Tensor(),
      /*cum_seq_k=*/at::Tensor(), tokens, tokens, /*dropout_p=*/0, /*is_causal=*/true, forward.rng_state,
      forward.rng_unused);
  return gradients;
}

}  // namespace tessera::kernels::cuda

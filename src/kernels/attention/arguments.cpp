#include "kernels/attention/arguments.hpp"

#include "kernels/checks.hpp"
#include "tessera/core/error.hpp"

#include <ATen/core/Tensor.h>

namespace tessera::kernels::attention {

void check_forward(const at::Tensor& q_BTHE, const at::Tensor& k_BTKE, const at::Tensor& v_BTKE) {
  Check("attention", "q", q_BTHE).is_float().has_dim(4).is_contiguous();
  Check("attention", "k", k_BTKE).has_type(q_BTHE.scalar_type()).has_dim(4).is_contiguous().is_on(q_BTHE.device());
  const std::int64_t num_query_heads = q_BTHE.size(2);
  const std::int64_t num_key_heads = k_BTKE.size(2);
  core::require(num_key_heads > 0 && num_query_heads % num_key_heads == 0, "kernels",
                "attention: {} query heads cannot share {} key heads evenly", num_query_heads, num_key_heads);
  Check("attention", "k", k_BTKE).has_shape({q_BTHE.size(0), q_BTHE.size(1), num_key_heads, q_BTHE.size(3)});
  Check("attention", "v", v_BTKE)
      .has_type(q_BTHE.scalar_type())
      .has_shape(k_BTKE.sizes())
      .has_dense_rows()
      .is_on(q_BTHE.device());
}

void check_backward(const at::Tensor& dout_BTHE, const at::Tensor& q_BTHE, const at::Tensor& k_BTKE,
                    const at::Tensor& v_BTKE, const AttentionResult& forward) {
  check_forward(q_BTHE, k_BTKE, v_BTKE);
  Check("attention_backward", "dout", dout_BTHE)
      .has_type(q_BTHE.scalar_type())
      .has_shape(q_BTHE.sizes())
      .has_dense_rows()
      .is_on(q_BTHE.device());
  Check("attention_backward", "out", forward.out_BTHE)
      .has_type(q_BTHE.scalar_type())
      .has_shape(q_BTHE.sizes())
      .is_on(q_BTHE.device());
  Check("attention_backward", "logsumexp", forward.logsumexp_BHT)
      .has_type(at::kFloat)
      .has_shape({q_BTHE.size(0), q_BTHE.size(2), q_BTHE.size(1)})
      .is_on(q_BTHE.device());
}

}  // namespace tessera::kernels::attention

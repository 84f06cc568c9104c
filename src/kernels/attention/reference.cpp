#include "kernels/attention/arguments.hpp"
#include "tessera/kernels/attention.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_softmax_backward_data.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/full.h>

#include <cmath>
#include <limits>

// Shapes: B images, T tokens, H query heads, K key/value heads, R = H/K query heads that share one, E elements a head;
// G = B*K groups, each of which is one matrix product: its R*T queries (written S) against its T keys.

namespace tessera::kernels::reference {
namespace {

struct Grouping {
  std::int64_t batch, tokens, query_heads, key_heads, head_dim;

  Grouping(const at::Tensor& q_BTHE, const at::Tensor& k_BTKE)
      : batch(q_BTHE.size(0)),
        tokens(q_BTHE.size(1)),
        query_heads(q_BTHE.size(2)),
        key_heads(k_BTKE.size(2)),
        head_dim(q_BTHE.size(3)) {}

  [[nodiscard]] std::int64_t repeats() const { return query_heads / key_heads; }

  [[nodiscard]] at::Tensor group_queries(const at::Tensor& q_BTHE) const {
    return q_BTHE.to(at::kFloat)
        .reshape({batch, tokens, key_heads, repeats(), head_dim})
        .permute({0, 2, 3, 1, 4})
        .reshape({batch * key_heads, repeats() * tokens, head_dim});
  }
  [[nodiscard]] at::Tensor ungroup_queries(const at::Tensor& q_GSE) const {
    return q_GSE.view({batch, key_heads, repeats(), tokens, head_dim})
        .permute({0, 3, 1, 2, 4})
        .reshape({batch, tokens, query_heads, head_dim})
        .contiguous();
  }
  [[nodiscard]] at::Tensor group_keys(const at::Tensor& k_BTKE) const {
    return k_BTKE.to(at::kFloat).permute({0, 2, 1, 3}).reshape({batch * key_heads, tokens, head_dim});
  }
  [[nodiscard]] at::Tensor ungroup_keys(const at::Tensor& k_GTE) const {
    return k_GTE.view({batch, key_heads, tokens, head_dim}).permute({0, 2, 1, 3}).contiguous();
  }
};

/// q k^T / sqrt(E), and minus infinity where the key comes after the query.
at::Tensor causal_scores(const Grouping& grouping, const at::Tensor& q_GSE, const at::Tensor& k_GTE) {
  const std::int64_t tokens = grouping.tokens;
  const at::Tensor bias_TT =
      at::full({tokens, tokens}, -std::numeric_limits<float>::infinity(), q_GSE.options()).triu(1);
  const at::Tensor bias_ST = bias_TT.repeat({grouping.repeats(), 1});
  return at::baddbmm(bias_ST, q_GSE, k_GTE.transpose(1, 2), 1, 1 / std::sqrt(static_cast<double>(grouping.head_dim)));
}

}  // namespace

AttentionResult attention_forward(const at::Tensor& q_BTHE, const at::Tensor& k_BTKE, const at::Tensor& v_BTKE) {
  attention::check_forward(q_BTHE, k_BTKE, v_BTKE);
  const Grouping grouping(q_BTHE, k_BTKE);
  const at::Tensor scores_GST = causal_scores(grouping, grouping.group_queries(q_BTHE), grouping.group_keys(k_BTKE));
  const at::Tensor max_GS1 = scores_GST.amax(2, /*keepdim=*/true);
  const at::Tensor weight_GST = scores_GST.sub_(max_GS1).exp_();
  const at::Tensor sum_GS1 = weight_GST.sum(2, /*keepdim=*/true);
  const at::Tensor out_GSE = at::bmm(weight_GST, grouping.group_keys(v_BTKE)).div_(sum_GS1);
  const at::Tensor logsumexp_GS1 = max_GS1 + sum_GS1.log();
  AttentionResult result;
  result.out_BTHE = grouping.ungroup_queries(out_GSE).to(q_BTHE.scalar_type());
  result.logsumexp_BHT = logsumexp_GS1.view({grouping.batch, grouping.query_heads, grouping.tokens});
  return result;
}

// With P = exp(S - logsumexp): dV = P^T dO, dP = dO V^T, dS = P (dP - rowsum(P dP)), dQ = dS K c, dK = dS^T Q c, where
// c = 1/sqrt(E). A key head's gradient is the sum over the R query heads that read it: the product over all S rows.
AttentionGradients attention_backward(const at::Tensor& dout_BTHE, const at::Tensor& q_BTHE, const at::Tensor& k_BTKE,
                                      const at::Tensor& v_BTKE, const AttentionResult& forward) {
  attention::check_backward(dout_BTHE, q_BTHE, k_BTKE, v_BTKE, forward);
  const Grouping grouping(q_BTHE, k_BTKE);
  const at::Tensor q_GSE = grouping.group_queries(q_BTHE);
  const at::Tensor k_GTE = grouping.group_keys(k_BTKE);
  const at::Tensor dout_GSE = grouping.group_queries(dout_BTHE);
  const at::Tensor logsumexp_GS1 =
      forward.logsumexp_BHT.reshape({grouping.batch * grouping.key_heads, grouping.repeats() * grouping.tokens, 1});

  const at::Tensor p_GST = causal_scores(grouping, q_GSE, k_GTE).sub_(logsumexp_GS1).exp_();
  const at::Tensor dv_GTE = at::bmm(p_GST.transpose(1, 2), dout_GSE);
  const at::Tensor dp_GST = at::bmm(dout_GSE, grouping.group_keys(v_BTKE).transpose(1, 2));
  const at::Tensor ds_GST = at::_softmax_backward_data(dp_GST, p_GST, 2, at::kFloat);
  const double scale = 1 / std::sqrt(static_cast<double>(grouping.head_dim));
  const at::Tensor dq_GSE = at::bmm(ds_GST, k_GTE).mul_(scale);
  const at::Tensor dk_GTE = at::bmm(ds_GST.transpose(1, 2), q_GSE).mul_(scale);
  return {grouping.ungroup_queries(dq_GSE).to(q_BTHE.scalar_type()),
          grouping.ungroup_keys(dk_GTE).to(q_BTHE.scalar_type()),
          grouping.ungroup_keys(dv_GTE).to(q_BTHE.scalar_type())};
}

}  // namespace tessera::kernels::reference

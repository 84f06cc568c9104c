#include "tessera/model/activations.hpp"

#include <algorithm>

namespace tessera::model {

ActivationBytes predict_activation_bytes(const config::ModelShape& shape, const Geometry& geometry, std::int64_t batch,
                                         std::int64_t bytes_per_element, bool recompute) {
  const std::int64_t rows = batch * geometry.num_tokens();
  const std::int64_t hidden = shape.hidden_size;
  const std::int64_t projected = shape.query_size() + 2 * shape.key_size();
  // fp32 per row: two rstd, and one logsumexp a head.
  const std::int64_t row_scalars = 4 * (2 + shape.num_attention_heads);
  const std::int64_t block_row =
      bytes_per_element * (2 * hidden + projected + shape.query_size() + 2 * shape.intermediate_size) + row_scalars;
  const std::int64_t kept_row = recompute ? bytes_per_element * hidden : block_row;

  // The worst moment of a block's backward is in the feed-forward: the gradients of SwiGLU's output (F) and input
  // (2F), of the block's output, of what the norm gave and its output again; or in attention: q, k, v, their
  // gradients, the packed gradient and that of the attention's output.
  const std::int64_t feed_forward = 3 * shape.intermediate_size + 3 * hidden;
  const std::int64_t attention = 2 * projected + 2 * shape.query_size() + shape.key_size() + 2 * hidden;
  ActivationBytes bytes;
  bytes.kept = rows * (shape.num_hidden_layers * kept_row + bytes_per_element * geometry.patch_elements());
  bytes.transient = rows * (bytes_per_element * std::max(feed_forward, attention) + (recompute ? block_row : 0));
  return bytes;
}

}  // namespace tessera::model

#include "tessera/model/activations.hpp"

#include <algorithm>

namespace tessera::model {

ActivationBytes predict_activation_bytes(const config::ModelShape& shape, const Geometry& geometry, std::int64_t batch,
                                         std::int64_t bytes_per_element, bool recompute) {
  const std::int64_t rows = batch * geometry.num_tokens();
  const std::int64_t hidden = shape.hidden_size;
  const std::int64_t projected = shape.query_size() + 2 * shape.key_size();
  // Elements of a row that a block keeps up to its attention, and after it; fp32 scalars a row beside them: two rstd,
  // and one logsumexp a head. The last block keeps nothing to speak of after it: one row an image.
  const std::int64_t first_half = hidden + projected + shape.query_size();
  const std::int64_t second_half = hidden + 2 * shape.intermediate_size;
  const std::int64_t scalars = 4 * (2 + shape.num_attention_heads);
  const std::int64_t block_row = bytes_per_element * (first_half + second_half) + scalars;
  const std::int64_t last_row = bytes_per_element * first_half + scalars;
  const std::int64_t num_whole = shape.num_hidden_layers - 1;

  // What a block's backward takes on top. In the feed-forward: the gradients of its output and of SwiGLU's, and one
  // more. In attention, when the second half is gone: those of its output, and of the block's middle; q and k again;
  // the gradients of q, k and v, packed and not.
  const std::int64_t feed_forward = shape.intermediate_size + 2 * hidden;
  const std::int64_t attention = 2 * hidden + 3 * shape.query_size() + 3 * shape.key_size() + projected;
  const std::int64_t in_last = last_row + bytes_per_element * attention;
  const std::int64_t in_whole = block_row + bytes_per_element * std::max(feed_forward, attention - second_half);
  ActivationBytes bytes;
  if (recompute) {
    bytes.kept = rows * bytes_per_element * shape.num_hidden_layers * hidden;
    bytes.transient = rows * std::max(in_last, in_whole);
  } else {
    bytes.kept = rows * (num_whole * block_row + last_row);
    bytes.transient = rows * (std::max(in_last, in_whole - block_row) - last_row);
  }
  bytes.kept += rows * bytes_per_element * geometry.patch_elements();
  return bytes;
}

std::int64_t predict_forward_bytes(const config::ModelShape& shape, const Geometry& geometry, std::int64_t batch,
                                   std::int64_t bytes_per_element) {
  const std::int64_t hidden = shape.hidden_size;
  const std::int64_t query = shape.query_size();
  const std::int64_t projected = query + 2 * shape.key_size();
  // As gate and up are made: input, middle, and both after their norms; q, k and v, and what attention gave. As down is
  // applied: input, middle and output; q, k, v and attention's output; gate, up and their product.
  const std::int64_t gate_up = 4 * hidden + projected + query + 2 * shape.intermediate_size;
  const std::int64_t down = 3 * hidden + projected + query + 3 * shape.intermediate_size;
  return batch * geometry.num_tokens() * bytes_per_element * std::max(gate_up, down);
}

}  // namespace tessera::model

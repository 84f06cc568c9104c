#include "tessera/model/activations.hpp"

#include <algorithm>

namespace tessera::model {

namespace {

// Bytes of one row: of one token.
struct RowBytes {
  std::int64_t input = 0;      ///< of a block
  std::int64_t attention = 0;  ///< kept of a block up to its attention, the input and fp32 scalars included
  std::int64_t middle = 0;     ///< kept behind it
  std::int64_t gate_up = 0;
  // On top of those, in a block's backward.
  std::int64_t in_feed_forward = 0;
  std::int64_t in_attention = 0;

  [[nodiscard]] std::int64_t whole() const { return attention + middle + gate_up; }
  [[nodiscard]] std::int64_t kept(Recompute recompute) const {
    return recompute == Recompute::kBlock ? input : attention + middle + (recompute == Recompute::kNone ? gate_up : 0);
  }
};

RowBytes row_bytes(const config::ModelShape& shape, std::int64_t element) {
  const std::int64_t hidden = shape.hidden_size;
  const std::int64_t query = shape.query_size();
  const std::int64_t projected = query + 2 * shape.key_size();
  // fp32 scalars a row: two rstd, and one logsumexp a head.
  const std::int64_t scalars = 4 * (2 + shape.num_attention_heads);
  // What a block's backward takes on top. In the feed-forward: the gradients of its output and of SwiGLU's, and one
  // more. In attention, when what lies behind it is gone: those of its output, and of the block's middle; q and k
  // again; the gradients of q, k and v, packed and not.
  return {.input = element * hidden,
          .attention = element * (hidden + projected + query) + scalars,
          .middle = element * hidden,
          .gate_up = element * 2 * shape.intermediate_size,
          .in_feed_forward = element * (shape.intermediate_size + 2 * hidden),
          .in_attention = element * (2 * hidden + 3 * query + 3 * shape.key_size() + projected)};
}

}  // namespace

// The last block keeps nothing to speak of behind its attention, one row an image, unless the head reads every token.
ActivationBytes predict_activation_bytes(const config::ModelShape& shape, const Geometry& geometry, std::int64_t batch,
                                         std::int64_t bytes_per_element, const RecomputePolicy& recompute) {
  const RowBytes row = row_bytes(shape, bytes_per_element);
  const std::int64_t num_before_last = shape.num_hidden_layers - 1;
  std::int64_t kept = 0;  // by the blocks before the one that backward is at
  std::int64_t peak = 0;
  const std::int64_t in_whole =
      row.whole() + std::max(row.in_feed_forward, row.in_attention - row.middle - row.gate_up);
  for (std::int64_t block = 0; block < num_before_last; ++block) {
    peak = std::max(peak, kept + in_whole);
    kept += row.kept(recompute.of(block));
  }
  const bool last_is_whole = geometry.pooling == config::Pooling::kMean;
  peak = std::max(peak, kept + (last_is_whole ? in_whole : row.attention + row.in_attention));
  kept += last_is_whole ? row.whole() : row.attention;
  const std::int64_t rows = batch * geometry.num_tokens();
  const std::int64_t patches = batch * geometry.num_patches() * bytes_per_element * geometry.patch_elements();
  return {rows * kept + patches, rows * (peak - kept)};
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

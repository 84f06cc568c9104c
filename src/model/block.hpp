#pragma once

#include "tessera/config/model_shape.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/model/activations.hpp"
#include "tessera/model/drop_path.hpp"
#include "tessera/model/param_table.hpp"
#include "tessera/model/parameter_access.hpp"
#include "tessera/model/recompute.hpp"

#include <utility>

// Shapes: B images, T tokens, N = B*T rows, R rows of output (N, or B), D hidden, F intermediate, H query and K key
// heads of E elements, A = H E, C = (H + 2K) E; W columns of any number.

namespace tessera::model {

/// One Qwen3 decoder block, as transformers' Qwen3DecoderLayer computes it:
///   middle = x + o_proj(attention(rope(norm(q)), rope(norm(k)), v)),  [q k v] = qkv_proj(norm(x))
///   y = middle + down_proj(silu(gate) * up),                         [gate up] = gate_up_proj(norm(middle))
///
/// With scales each sum becomes x + scale_B * branch(x), a factor an image: stochastic depth.
class Block {
 public:
  /// Of which tokens the output is used. What no output depends on is not computed: behind the attention of the last
  /// block, whose last token alone goes on to the head, that is everything but one row an image.
  enum class Outputs { kAll, kLastToken };

  Block(const config::ModelShape& shape, const kernels::Ops& ops, const kernels::RotaryTable& rotary,
        std::int64_t index, Outputs outputs, BranchScales scales)
      : shape_(shape),
        ops_(ops),
        rotary_(rotary),
        units_(block_units(index)),
        outputs_(outputs),
        scales_(std::move(scales)) {}

  /// The forward pass of x_ND (`batch` images) but for its last product, which backward has no need of.
  [[nodiscard]] BlockActivations activations(const at::Tensor& x_ND, std::int64_t batch, Weights& weights) const;

  /// What is left of them to keep, and the whole of it again.
  static void leave_out(BlockActivations& made, Recompute recompute);
  void make_again(BlockActivations& kept, Recompute recompute, std::int64_t batch, Weights& weights) const;

  /// y_RD, of what activations() made.
  [[nodiscard]] at::Tensor output(const BlockActivations& made, Weights& weights) const;

  /// dx_ND of dy_RD; the weights' gradients go to `gradients` in the reverse order of the units. Consumes `kept`.
  [[nodiscard]] at::Tensor backward(const at::Tensor& dy_RD, std::int64_t batch, BlockActivations& kept,
                                    Weights& weights, Gradients& gradients) const;

 private:
  [[nodiscard]] kernels::SelfAttentionInputs attention_inputs(const at::Tensor& qkv_NC, std::int64_t batch,
                                                              Weights& weights) const;
  void make_gate_up(BlockActivations& made, Weights& weights) const;
  /// The attention's output as [N, A].
  [[nodiscard]] at::Tensor attended(const BlockActivations& made) const;
  /// The R rows of N whose output is used, and N rows of which those are given and the others are zero.
  [[nodiscard]] at::Tensor used_rows(const at::Tensor& x_NW, std::int64_t batch) const;
  [[nodiscard]] at::Tensor spread_rows(const at::Tensor& x_RW, std::int64_t num_rows) const;
  [[nodiscard]] at::Tensor feed_forward_backward(const at::Tensor& dy_RD, BlockActivations& kept, Weights& weights,
                                                 Gradients& gradients) const;
  [[nodiscard]] at::Tensor attention_backward(const at::Tensor& dmiddle_RD, std::int64_t batch, BlockActivations& kept,
                                              Weights& weights, Gradients& gradients) const;

  const config::ModelShape& shape_;
  const kernels::Ops& ops_;
  const kernels::RotaryTable& rotary_;
  BlockUnits units_;
  Outputs outputs_;
  BranchScales scales_;
};

}  // namespace tessera::model

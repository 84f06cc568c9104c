#pragma once

#include "tessera/config/model_shape.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/model/activations.hpp"
#include "tessera/model/param_table.hpp"
#include "tessera/model/parameter_access.hpp"

// Shapes: B images, T tokens, N = B*T rows, D hidden, F intermediate, H query and K key heads of E elements,
// C = (H + 2K) E.

namespace tessera::model {

/// One Qwen3 decoder block, as transformers' Qwen3DecoderLayer computes it:
///   middle = x + o_proj(attention(rope(norm(q)), rope(norm(k)), v)),  [q k v] = qkv_proj(norm(x))
///   y = middle + down_proj(silu(gate) * up),                         [gate up] = gate_up_proj(norm(middle))
class Block {
 public:
  Block(const config::ModelShape& shape, const kernels::Ops& ops, const kernels::RotaryTable& rotary,
        std::int64_t index)
      : shape_(shape), ops_(ops), rotary_(rotary), units_(block_units(index)) {}

  /// The forward pass of x_ND (`batch` images) but for its last product, which backward has no need of.
  [[nodiscard]] BlockActivations activations(const at::Tensor& x_ND, std::int64_t batch, Weights& weights) const;

  /// y_ND, of what activations() made.
  [[nodiscard]] at::Tensor output(const BlockActivations& made, Weights& weights) const;

  /// dx_ND of dy_ND; the weights' gradients go to `gradients` in the reverse order of the units. Consumes `kept`.
  [[nodiscard]] at::Tensor backward(const at::Tensor& dy_ND, std::int64_t batch, BlockActivations& kept,
                                    Weights& weights, Gradients& gradients) const;

 private:
  [[nodiscard]] kernels::HeadShape head_shape(const at::Tensor& x_ND, std::int64_t batch) const;
  [[nodiscard]] at::Tensor values(const at::Tensor& qkv_NC, const kernels::HeadShape& heads) const;
  [[nodiscard]] kernels::QueryKey queries_and_keys(const at::Tensor& qkv_NC, const kernels::HeadShape& heads,
                                                   Weights& weights) const;
  [[nodiscard]] at::Tensor feed_forward_backward(const at::Tensor& dy_ND, BlockActivations& kept, Weights& weights,
                                                 Gradients& gradients) const;
  [[nodiscard]] at::Tensor attention_backward(const at::Tensor& dmiddle_ND, std::int64_t batch, BlockActivations& kept,
                                              Weights& weights, Gradients& gradients) const;

  const config::ModelShape& shape_;
  const kernels::Ops& ops_;
  const kernels::RotaryTable& rotary_;
  BlockUnits units_;
};

}  // namespace tessera::model

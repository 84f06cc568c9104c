#pragma once

#include "tessera/config/model_shape.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/model/activations.hpp"
#include "tessera/model/classifier.hpp"
#include "tessera/model/param_table.hpp"
#include "tessera/model/parameter_access.hpp"
#include "tessera/model/recompute.hpp"

#include <ATen/core/Tensor.h>

// Shapes: B images of 3 x S x S, T tokens, N = B*T rows, L blocks, D hidden, C classes.

namespace tessera::model {

class Block;

/// How the classifier computes.
struct ComputeOptions {
  c10::Device device = c10::kCPU;
  at::ScalarType dtype = at::kFloat;  ///< of activations and weights: fp32 or bf16
  RecomputePolicy recompute{};        ///< --gradient_checkpointing, over the blocks that are trained
  std::int64_t frozen_blocks = 0;     ///< above 0: these first blocks and the patch embedding are not trained
};

/// Patches -> linear embedding -> causal Qwen3 blocks -> final norm of the last token (the last patch, or a class token
/// behind it) or of the mean of all -> linear head.
///
/// Forward and backward are written out: no autograd. Holds no parameters and no activations, so that every byte of
/// either is somebody's decision. Stream-ordered on the device's current stream.
class Qwen3Classifier final : public Classifier {
 public:
  Qwen3Classifier(const config::ModelShape& shape, const Geometry& geometry, const kernels::Ops& ops,
                  const ComputeOptions& options);

  [[nodiscard]] const ParamTable& params() const override { return params_; }

  at::Tensor forward(const at::Tensor& images_B3SS, Weights& weights, Activations* keep) const override;

  /// Consumes `activations` block by block. Of what is frozen nothing was kept, and no gradient is asked for.
  void backward(const at::Tensor& dlogits_BC, Activations& activations, Weights& weights,
                Gradients& gradients) const override;

  /// features_BD that the head reads, in the compute dtype: what is pooled, after the final norm. Asks for no weight of
  /// the head, and keeps nothing.
  at::Tensor features(const at::Tensor& images_B3SS, Weights& weights) const;
  [[nodiscard]] std::int64_t num_features() const { return shape_.hidden_size; }

 private:
  [[nodiscard]] Block make_block(std::int64_t index, const at::Tensor& branch_scales_L2B) const;
  [[nodiscard]] Recompute recompute_of(std::int64_t index) const;
  [[nodiscard]] bool pools_mean() const { return geometry_.pooling == config::Pooling::kMean; }
  [[nodiscard]] at::Tensor embed(const at::Tensor& patches_NP, std::int64_t batch, Weights& weights) const;
  void embed_backward(const at::Tensor& dhidden_ND, std::int64_t batch, const at::Tensor& patches_NP,
                      Gradients& gradients) const;
  /// What is pooled, before the final norm.
  [[nodiscard]] at::Tensor run_blocks(const at::Tensor& images_B3SS, Weights& weights, Activations* keep) const;
  [[nodiscard]] at::Tensor classify(const at::Tensor& last_BD, Weights& weights, Activations* keep) const;
  [[nodiscard]] at::Tensor classify_backward(const at::Tensor& dlogits_BC, const Activations& activations,
                                             Weights& weights, Gradients& gradients) const;

  config::ModelShape shape_;
  Geometry geometry_;
  const kernels::Ops& ops_;
  ComputeOptions options_;
  ParamTable params_;
  kernels::RotaryTable rotary_;
};

}  // namespace tessera::model

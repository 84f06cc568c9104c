#include "tessera/model/qwen3_classifier.hpp"

#include "model/block.hpp"
#include "model/linear.hpp"

#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mm.h>

#include <utility>

namespace tessera::model {
namespace {

// The convolution with kernel = stride = patch as a matrix product: [N, 3 P P] in the weight's own order, N raster.
at::Tensor to_patches(const at::Tensor& images_B3SS, std::int64_t patch) {
  const std::int64_t batch = images_B3SS.size(0);
  const std::int64_t grid = images_B3SS.size(2) / patch;
  return images_B3SS.view({batch, 3, grid, patch, grid, patch})
      .permute({0, 2, 4, 1, 3, 5})
      .reshape({batch * grid * grid, 3 * patch * patch});
}

}  // namespace

Qwen3Classifier::Qwen3Classifier(const config::ModelShape& shape, const Geometry& geometry, const kernels::Ops& ops,
                                 const ComputeOptions& options)
    : shape_(shape),
      geometry_(geometry),
      ops_(ops),
      options_(options),
      params_(build_param_table(shape, geometry)),
      rotary_(kernels::make_rotary_table(geometry.num_tokens(), shape.head_dim, shape.rope_theta)) {
  rotary_ = {rotary_.cos_TE2.to(options.device), rotary_.sin_TE2.to(options.device)};
}

Block Qwen3Classifier::make_block(std::int64_t index, const at::Tensor& branch_scales_L2B) const {
  const bool for_one_token = index + 1 == shape_.num_hidden_layers && !pools_mean();
  return {shape_,
          ops_,
          rotary_,
          index,
          for_one_token ? Block::Outputs::kLastToken : Block::Outputs::kAll,
          scales_of_block(branch_scales_L2B, index)};
}

Recompute Qwen3Classifier::recompute_of(std::int64_t index) const {
  const bool is_last = index + 1 == shape_.num_hidden_layers;
  return is_last ? Recompute::kNone : options_.recompute.of(index - options_.frozen_blocks);
}

at::Tensor Qwen3Classifier::forward(const at::Tensor& images_B3SS, Weights& weights, Activations* keep) const {
  return classify(run_blocks(images_B3SS, weights, keep), weights, keep);
}

at::Tensor Qwen3Classifier::features(const at::Tensor& images_B3SS, Weights& weights) const {
  const at::Tensor last_BD = run_blocks(images_B3SS, weights, nullptr);
  const int norm = head_units(shape_.num_hidden_layers).norm;
  return ops_.rms_norm_forward(last_BD, weights.weight(norm), shape_.rms_norm_eps).y_ND;
}

at::Tensor Qwen3Classifier::embed(const at::Tensor& patches_NP, std::int64_t batch, Weights& weights) const {
  const at::Tensor vectors = weights.weight(kPatchBiasUnit);
  const std::int64_t hidden = shape_.hidden_size;
  at::Tensor tokens_ND = at::addmm(vectors.narrow(0, 0, hidden), patches_NP, weights.weight(kPatchWeightUnit).t());
  if (!geometry_.has_class_token()) {
    return tokens_ND;
  }
  const at::Tensor class_B1D = vectors.narrow(0, hidden, hidden).expand({batch, 1, hidden});
  return at::cat({tokens_ND.view({batch, -1, hidden}), class_B1D}, 1).view({-1, hidden});
}

void Qwen3Classifier::embed_backward(const at::Tensor& dhidden_ND, std::int64_t batch, const at::Tensor& patches_NP,
                                     Gradients& gradients) const {
  at::Tensor dtokens_ND = dhidden_ND;
  at::Tensor dvectors;
  if (geometry_.has_class_token()) {
    const at::Tensor dhidden_BTD = dhidden_ND.view({batch, geometry_.num_tokens(), -1});
    dtokens_ND = dhidden_BTD.narrow(1, 0, geometry_.num_patches()).reshape({patches_NP.size(0), -1});
    dvectors = dhidden_BTD.select(1, -1).sum(0, false, at::kFloat);
  }
  const at::Tensor dbias_D = dtokens_ND.sum(0, false, at::kFloat);
  store_gradient(dvectors.defined() ? at::cat({dbias_D, dvectors}) : dbias_D, kPatchBiasUnit, gradients);
  linear_weight_gradient(ops_, dtokens_ND, patches_NP, kPatchWeightUnit, gradients);
}

at::Tensor Qwen3Classifier::run_blocks(const at::Tensor& images_B3SS, Weights& weights, Activations* keep) const {
  const std::int64_t batch = images_B3SS.size(0);
  const at::Tensor patches_NP = to_patches(images_B3SS, geometry_.patch_size);
  at::Tensor hidden_ND = embed(patches_NP, batch, weights);
  const at::Tensor scales_L2B = keep != nullptr ? keep->branch_scales_L2B : at::Tensor();
  if (keep != nullptr) {
    keep->patches_NP = options_.frozen_blocks == 0 ? patches_NP : at::Tensor();
    keep->blocks.assign(static_cast<std::size_t>(shape_.num_hidden_layers), {});
  }
  for (std::int64_t index = 0; index < shape_.num_hidden_layers; ++index) {
    const Block block = make_block(index, scales_L2B);
    BlockActivations made = block.activations(hidden_ND, batch, weights);
    hidden_ND = block.output(made, weights);
    if (keep != nullptr && index >= options_.frozen_blocks) {
      Block::leave_out(made, recompute_of(index));
      keep->blocks[static_cast<std::size_t>(index)] = std::move(made);
    }
  }
  // The last block has left one row an image, unless it was to leave all.
  return pools_mean() ? hidden_ND.view({batch, -1, hidden_ND.size(1)}).mean(1) : hidden_ND;
}

// Products of bf16 values are exact in fp32, and the head is small: it is computed in fp32 throughout.
at::Tensor Qwen3Classifier::classify(const at::Tensor& last_BD, Weights& weights, Activations* keep) const {
  const HeadUnits units = head_units(shape_.num_hidden_layers);
  const auto normed = ops_.rms_norm_forward(last_BD, weights.weight(units.norm), shape_.rms_norm_eps);
  if (keep != nullptr) {
    keep->last_BD = last_BD;
    keep->last_rstd_B = normed.rstd_N;
    keep->features_BD = normed.y_ND;
  }
  return at::addmm(weights.weight(units.bias).to(at::kFloat), normed.y_ND.to(at::kFloat),
                   weights.weight(units.weight).to(at::kFloat).t());
}

at::Tensor Qwen3Classifier::classify_backward(const at::Tensor& dlogits_BC, const Activations& activations,
                                              Weights& weights, Gradients& gradients) const {
  const HeadUnits units = head_units(shape_.num_hidden_layers);
  store_gradient(dlogits_BC.sum(0), units.bias, gradients);
  store_gradient(at::mm(dlogits_BC.t(), activations.features_BD.to(at::kFloat)), units.weight, gradients);
  at::Tensor dfeatures_BD =
      at::mm(dlogits_BC, weights.weight(units.weight).to(at::kFloat)).to(activations.last_BD.scalar_type());
  at::Tensor dlast_BD = ops_.rms_norm_backward(dfeatures_BD, activations.last_BD, weights.weight(units.norm),
                                               activations.last_rstd_B, {}, gradients.target(units.norm));
  gradients.ready(units.norm);
  return dlast_BD;
}

void Qwen3Classifier::backward(const at::Tensor& dlogits_BC, Activations& activations, Weights& weights,
                               Gradients& gradients) const {
  const std::int64_t batch = dlogits_BC.size(0);
  at::Tensor dhidden_ND = classify_backward(dlogits_BC, activations, weights, gradients);
  if (pools_mean()) {
    const std::int64_t num_tokens = geometry_.num_tokens();
    dhidden_ND = dhidden_ND.div(num_tokens).repeat_interleave(num_tokens, 0);
  }
  for (std::int64_t index = shape_.num_hidden_layers - 1; index >= options_.frozen_blocks; --index) {
    const Block block = make_block(index, activations.branch_scales_L2B);
    BlockActivations& kept = activations.blocks[static_cast<std::size_t>(index)];
    block.make_again(kept, recompute_of(index), batch, weights);
    dhidden_ND = block.backward(dhidden_ND, batch, kept, weights, gradients);
    kept = {};
  }
  if (options_.frozen_blocks == 0) {
    embed_backward(dhidden_ND, batch, activations.patches_NP, gradients);
  }
  activations = {};
}

}  // namespace tessera::model

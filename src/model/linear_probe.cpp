#include "tessera/model/linear_probe.hpp"

#include "model/linear.hpp"

#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

#include <algorithm>

namespace tessera::model {
namespace {

constexpr int kWeightUnit = 0;
constexpr int kBiasUnit = 1;
constexpr double kInitialStd = 0.01;

}  // namespace

ParamTable build_probe_table(std::int64_t num_features, std::int64_t num_classes) {
  ParamTable table;
  const Param weight{"classifier.weight", {num_classes, num_features}, kWeightUnit, true, 0, Init::kNormal,
                     kInitialStd};
  const Param bias{"classifier.bias", {num_classes}, kBiasUnit, false, 0, Init::kZeros, 0};
  table.params = {weight, bias};
  table.units = {{0, 1, weight.num_elements(), num_features}, {1, 1, bias.num_elements(), 0}};
  return table;
}

ParamTable backbone_part(const ParamTable& table) {
  const auto head = std::ranges::find(table.params, "classifier.weight", &Param::name);
  return split_table(table, head->unit).before;
}

at::Tensor LinearProbe::forward(const at::Tensor& inputs, Weights& weights, Activations* keep) const {
  const bool are_images = inputs.dim() == 4;
  at::Tensor features_BD = (are_images ? backbone_.model.features(inputs, backbone_.frozen) : inputs).to(at::kFloat);
  if (norm_ != nullptr) {
    features_BD = keep != nullptr ? norm_->of_batch(features_BD) : norm_->of_any(features_BD);
  }
  if (keep != nullptr) {
    keep->features_BD = features_BD;
  }
  return at::addmm(weights.weight(kBiasUnit), features_BD, weights.weight(kWeightUnit).t());
}

void LinearProbe::backward(const at::Tensor& dlogits_BC, Activations& activations, Weights& /*weights*/,
                           Gradients& gradients) const {
  store_gradient(dlogits_BC.sum(0), kBiasUnit, gradients);
  store_gradient(at::mm(dlogits_BC.t(), activations.features_BD), kWeightUnit, gradients);
  activations = {};
}

}  // namespace tessera::model

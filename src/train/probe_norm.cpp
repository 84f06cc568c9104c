#include "train/probe_norm.hpp"

#include "tessera/core/error.hpp"
#include "tessera/engine/tensor_collectives.hpp"

#include <ATen/ops/empty.h>

#include <span>

namespace tessera::train {
namespace {

constexpr const char* kMean = "feature_norm.running_mean";
constexpr const char* kVar = "feature_norm.running_var";

}  // namespace

model::FeatureNorm make_feature_norm(std::int64_t num_features, const Platform& platform) {
  return {num_features, platform.device,
          [&platform](at::Tensor& values) { engine::sum_over_ranks(*platform.collectives, values); }};
}

std::vector<engine::NamedBuffer> buffers_of(const model::FeatureNorm& norm) {
  return {{kMean, norm.running_mean()}, {kVar, norm.running_var()}};
}

bool has_feature_norm(const checkpoint::Reader& reader) {
  return reader.find(kMean, state::Component::kWeight) != nullptr;
}

void read_feature_norm(const checkpoint::Reader& reader, const model::FeatureNorm& norm) {
  for (const engine::NamedBuffer& buffer : buffers_of(norm)) {
    const checkpoint::StoredTensor* const stored = reader.find(buffer.name, state::Component::kWeight);
    core::require<core::UserError>(stored != nullptr && stored->num_elements() == buffer.values.numel(), "train",
                                   "{} has no {} of this model's size; check --model_config", reader.path(),
                                   buffer.name);
    const at::Tensor host = at::empty(buffer.values.sizes(), buffer.values.options().device(c10::kCPU));
    reader.read_floats(*stored, 0, std::span(host.mutable_data_ptr<float>(), static_cast<std::size_t>(host.numel())));
    at::Tensor(buffer.values).copy_(host);
  }
}

void require_same_backbone(const FrozenBackbone& backbone, const state::RunState& run, const char* flag) {
  core::require<core::UserError>(backbone.crc32c() == run.backbone_crc32c, "train",
                                 "the backbone is not the one whose features the probe was trained on, {}: its weights "
                                 "differ (checksum {} instead of {}); give the right one with {}",
                                 run.backbone, backbone.crc32c(), run.backbone_crc32c, flag);
}

}  // namespace tessera::train

#include "train/weight_source.hpp"

#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/restore.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/core/error.hpp"
#include "tessera/model/pretrained.hpp"

#include <ATen/ops/empty.h>

#include <memory>
#include <span>

namespace tessera::train {
namespace {

// Runs `read` into host memory, and moves it to the piece's device.
template <class Read>
void fill_through_host(at::Tensor& piece, Read read) {
  at::Tensor host = piece.is_cpu() ? piece : at::empty(piece.sizes(), piece.options().device(c10::kCPU));
  read(std::span(host.mutable_data_ptr<float>(), static_cast<std::size_t>(host.numel())));
  if (!piece.is_cpu()) {
    piece.copy_(host);
  }
}

engine::FillPiece checkpoint_source(const std::string& path, const model::ParamTable& table, at::ScalarType compute) {
  auto reader = std::make_shared<const checkpoint::Reader>(path);
  const core::DType wanted = compute == at::kFloat ? core::DType::kFloat32 : core::DType::kBFloat16;
  const auto source_of = [reader, wanted](const model::Param& param) {
    return checkpoint::find_source(*reader, param.name, state::Component::kWeight, wanted);
  };
  for (const model::Param& param : table.params) {
    const checkpoint::StoredTensor* tensor = source_of(param);
    core::require<core::UserError>(tensor != nullptr && tensor->info.shape == param.shape, "train",
                                   "{} has no {} of this model's shape; check --model_config, --input_size, "
                                   "--patch_size and --nb_classes",
                                   path, param.name);
  }
  return [reader, source_of](const model::Param& param, std::int64_t begin, at::Tensor& piece) {
    fill_through_host(piece, [&](std::span<float> values) { reader->read_floats(*source_of(param), begin, values); });
  };
}

engine::FillPiece file_source(std::shared_ptr<const model::PretrainedWeights> weights, engine::FillPiece otherwise) {
  return [weights = std::move(weights), otherwise = std::move(otherwise)](const model::Param& param, std::int64_t begin,
                                                                          at::Tensor& piece) {
    if (weights->has(param)) {
      fill_through_host(piece, [&](std::span<float> values) { weights->read(param, begin, values); });
    } else {
      otherwise(param, begin, piece);
    }
  };
}

}  // namespace

engine::FillPiece pretrained_source(const std::string& path, const model::ParamTable& table, const kernels::Ops& ops,
                                    std::uint64_t seed, const core::Log& log) {
  using model::PretrainedWeights;
  auto weights = std::make_shared<const PretrainedWeights>(path, table, PretrainedWeights::Scope::kBackbone);
  for (const std::string& name : weights->absent()) {
    log.info("{} is not in the pretrained files and starts from random values", name);
  }
  for (const std::string& name : weights->unused()) {
    log.info("{} of the pretrained files is not used: images do not meet it", name);
  }
  return file_source(std::move(weights), engine::random_init(ops, seed));
}

engine::FillPiece trained_source(const std::string& path, const model::ParamTable& table, at::ScalarType compute) {
  if (checkpoint::is_checkpoint(path)) {
    return checkpoint_source(path, table, compute);
  }
  using model::PretrainedWeights;
  return file_source(std::make_shared<const PretrainedWeights>(path, table, PretrainedWeights::Scope::kWhole), {});
}

}  // namespace tessera::train

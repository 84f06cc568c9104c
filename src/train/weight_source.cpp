#include "train/weight_source.hpp"

#include "tessera/checkpoint/import.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/restore.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/core/error.hpp"
#include "tessera/model/pretrained.hpp"

#include <ATen/ops/empty.h>

#include <memory>
#include <span>
#include <vector>

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

// A consolidated file or another program's.
engine::FillPiece import_source(const std::string& path, const model::ParamTable& table) {
  auto source = std::make_shared<const checkpoint::ImportSource>(path, checkpoint::ImportOptions{true});
  std::vector<checkpoint::NamedShape> wanted;
  for (const model::Param& param : table.params) {
    wanted.push_back({param.name, param.shape});
  }
  (void)source->match(wanted);
  return [source = std::move(source)](const model::Param& param, std::int64_t begin, at::Tensor& piece) {
    fill_through_host(piece, [&](std::span<float> values) { source->read_floats(param.name, begin, values); });
  };
}

}  // namespace

engine::FillPiece pretrained_source(const std::string& path, const model::ParamTable& table, const kernels::Ops& ops,
                                    std::uint64_t seed, const core::Log& log) {
  auto weights = std::make_shared<const model::PretrainedWeights>(path, table);
  for (const std::string& name : weights->absent()) {
    log.info("{} is not in the pretrained files and starts from random values", name);
  }
  for (const std::string& name : weights->unused()) {
    log.info("{} of the pretrained files is not used: images do not meet it", name);
  }
  return [weights = std::move(weights), otherwise = engine::random_init(ops, seed)](
             const model::Param& param, std::int64_t begin, at::Tensor& piece) {
    if (weights->has(param)) {
      fill_through_host(piece, [&](std::span<float> values) { weights->read(param, begin, values); });
    } else {
      otherwise(param, begin, piece);
    }
  };
}

engine::FillPiece trained_source(const std::string& path, const model::ParamTable& table, at::ScalarType compute) {
  return checkpoint::is_checkpoint(path) ? checkpoint_source(path, table, compute) : import_source(path, table);
}

}  // namespace tessera::train

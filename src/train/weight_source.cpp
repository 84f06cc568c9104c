#include "train/weight_source.hpp"

#include "tessera/checkpoint/import.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/restore.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/core/error.hpp"
#include "tessera/model/pretrained.hpp"
#include "train/shared_inputs.hpp"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <sstream>
#include <vector>

namespace tessera::train {
namespace {

namespace fs = std::filesystem;

// Runs `read` into host memory, and moves it to the piece's device.
template <class Read>
void fill_through_host(at::Tensor& piece, Read read) {
  at::Tensor host = piece.is_cpu() ? piece : at::empty(piece.sizes(), piece.options().device(c10::kCPU));
  read(std::span(host.mutable_data_ptr<float>(), static_cast<std::size_t>(host.numel())));
  if (!piece.is_cpu()) {
    piece.copy_(host);
  }
}

engine::FillPiece checkpoint_source(const std::string& path, const model::ParamTable& table, at::ScalarType compute,
                                    bool averages) {
  auto reader = std::make_shared<const checkpoint::Reader>(path);
  const core::DType wanted = compute == at::kFloat ? core::DType::kFloat32 : core::DType::kBFloat16;
  core::require<core::UserError>(!averages || reader->run_state().ema_decay > 0, "train",
                                 "--ema: {} has no moving averages; it was trained without --ema_decay", path);
  const auto source_of = [reader, wanted, averages](const model::Param& param) {
    // What was frozen has no average: it would be the weight.
    const auto* const average = averages ? reader->find(param.name, state::Component::kAverage) : nullptr;
    return average != nullptr ? average
                              : checkpoint::find_source(*reader, param.name, state::Component::kWeight, wanted);
  };
  for (const model::Param& param : table.params) {
    const checkpoint::StoredTensor* tensor = source_of(param);
    core::require<core::UserError>(tensor != nullptr && tensor->info.shape == param.shape, "train",
                                   "{} has no {} of this model's shape; check --model_config, --input_size, "
                                   "--patch_size, --cls_token and --nb_classes",
                                   path, param.name);
  }
  return [reader, source_of](const model::Param& param, std::int64_t begin, at::Tensor& piece) {
    fill_through_host(piece, [&](std::span<float> values) { reader->read_floats(*source_of(param), begin, values); });
  };
}

// A consolidated file or another program's. A head that the table lacks is passed over.
engine::FillPiece import_source(const std::string& path, const model::ParamTable& table) {
  auto source = std::make_shared<const checkpoint::ImportSource>(path, checkpoint::ImportOptions{true});
  std::vector<checkpoint::NamedShape> wanted;
  for (const model::Param& param : table.params) {
    wanted.push_back({param.name, param.shape});
  }
  for (const std::string name : {"classifier.weight", "classifier.bias"}) {
    const bool is_wanted = std::ranges::any_of(table.params, [&](const auto& param) { return param.name == name; });
    if (const auto* const shape = source->shape_of(name); shape != nullptr && !is_wanted) {
      wanted.push_back({name, *shape});
    }
  }
  (void)source->match(wanted);
  return [source = std::move(source)](const model::Param& param, std::int64_t begin, at::Tensor& piece) {
    fill_through_host(piece, [&](std::span<float> values) { source->read_floats(param.name, begin, values); });
  };
}

engine::FillPiece from_pretrained(std::shared_ptr<const model::PretrainedWeights> weights, const kernels::Ops& ops,
                                  std::uint64_t seed, const core::Log& log) {
  for (const std::string& name : weights->absent()) {
    log.info("{} is not in the pretrained files and starts from random values", name);
  }
  for (const std::string& name : weights->unused()) {
    log.info("{} of the pretrained files is not used", name);
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

config::RecordedRun recorded_in(const state::RunState& run) {
  return {run.model_config_json, run.dataset, run.input_size, run.patch_size, config::pooling_from_name(run.pooling)};
}

void require_no_averages(const std::string& path, bool averages) {
  core::require<core::UserError>(
      !averages, "train", "--ema: {} is no checkpoint; 'tessera-ckpt consolidate --ema' writes averages as weights",
      path);
}

bool has_safetensors(const fs::path& path) {
  if (!fs::is_directory(path)) {
    return path.extension() == ".safetensors";
  }
  return std::ranges::any_of(fs::directory_iterator(path),
                             [](const auto& entry) { return entry.path().extension() == ".safetensors"; });
}

}  // namespace

config::RecordedRun recorded_run(const std::string& path) {
  core::require<core::UserError>(fs::exists(path), "train", "{}: no such file or directory", path);
  if (checkpoint::is_checkpoint(path)) {
    return recorded_in(checkpoint::Reader(path).run_state());
  }
  const checkpoint::ImportSource source(path, {true});
  if (source.facts().run) {
    return recorded_in(*source.facts().run);
  }
  const bool has_class_token = source.shape_of("cls_token") != nullptr;
  const fs::path directory = fs::is_directory(path) ? fs::path(path) : fs::path(path).parent_path();
  std::ifstream config(directory / "config.json");
  std::ostringstream text;
  text << config.rdbuf();
  return {text.str(), "", 0, 0, has_class_token ? std::optional(config::Pooling::kClassToken) : std::nullopt};
}

engine::FillPiece backbone_source(const BackboneSpec& spec, const model::ParamTable& table, const kernels::Ops& ops,
                                  const core::Log& log) {
  if (spec.path == kRandomBackbone) {
    return engine::random_init(ops, spec.seed);
  }
  if (checkpoint::is_checkpoint(spec.path)) {
    return checkpoint_source(spec.path, table, spec.compute, spec.averages);
  }
  require_no_averages(spec.path, spec.averages);
  if (!has_safetensors(spec.path)) {
    return import_source(spec.path, table);
  }
  auto weights = std::make_shared<const model::PretrainedWeights>(spec.path, table);
  if (!weights->absent().empty()) {
    log.warn("{} has no patch embedding: it is random, and a linear probe does not train it", spec.path);
  }
  return from_pretrained(std::move(weights), ops, spec.seed, log);
}

engine::FillPiece pretrained_source(const PretrainedSpec& spec, const model::ParamTable& table,
                                    const Platform& platform, const core::Log& log) {
  io::SafetensorsReader files = open_safetensors(spec.path, platform.mesh);
  engine::FillPiece source;
  platform.mesh.world.agree([&] {
    source = from_pretrained(std::make_shared<const model::PretrainedWeights>(std::move(files), spec.path, table),
                             *platform.ops, spec.seed, log);
  });
  return source;
}

engine::FillPiece trained_source(const std::string& path, const model::ParamTable& table, at::ScalarType compute,
                                 bool averages) {
  if (checkpoint::is_checkpoint(path)) {
    return checkpoint_source(path, table, compute, averages);
  }
  require_no_averages(path, averages);
  return import_source(path, table);
}

}  // namespace tessera::train

#include "tessera/checkpoint/consolidate.hpp"
#include "command_line.hpp"
#include "json_output.hpp"
#include "progress.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <optional>

namespace tessera::tools {
namespace {

constexpr const char* kWho = "tessera-ckpt consolidate";

std::optional<core::DType> dtype_of(const po::variables_map& values) {
  if (values.count("dtype") == 0) {
    return std::nullopt;
  }
  const auto name = values["dtype"].as<std::string>();
  for (const core::DType dtype : {core::DType::kBFloat16, core::DType::kFloat32}) {
    if (name == core::name_of(dtype)) {
      return dtype;
    }
  }
  core::fail<core::UserError>(kWho, "--dtype is bf16 or fp32, not '{}'", name);
}

checkpoint::ConsolidateRequest request_of(const po::variables_map& values) {
  core::require<core::UserError>(values.count("output") > 0, kWho, "--output PATH is missing: where the weights go");
  checkpoint::ConsolidateRequest request;
  request.output = values["output"].as<std::string>();
  request.dtype = dtype_of(values);
  request.averages = values.count("ema") > 0;
  request.weights_only = values.count("weights_only") > 0;
  if (values.count("max_shard_size") > 0) {
    request.max_shard_bytes = core::parse_bytes(values["max_shard_size"].as<std::string>());
    core::require<core::UserError>(*request.max_shard_bytes > 0, kWho, "--max_shard_size must be more than nothing");
  }
  return request;
}

int run(const po::variables_map& values, const core::Log& log) {
  checkpoint::ConsolidateRequest request = request_of(values);
  Progress progress(log, "consolidating");
  request.progress = [&](std::int64_t done, std::int64_t total) { progress.update(done, total); };
  const checkpoint::Reader reader(values["CKPT"].as<std::string>());
  const auto result = checkpoint::consolidate(reader, request);
  log.info("{}: {} parameters in {} tensors, {}", request.output, core::format_count(result.num_parameters),
           core::format_count(result.num_tensors),
           describe_rate(static_cast<double>(result.bytes), progress.seconds()));
  if (!result.config_path.empty()) {
    log.info("{}: the backbone's configuration", result.config_path);
  }
  if (values.count("json") > 0) {
    const nlohmann::ordered_json all{{"output", request.output},      {"config", result.config_path},
                                     {"tensors", result.num_tensors}, {"parameters", result.num_parameters},
                                     {"bytes", result.bytes},         {"seconds", progress.seconds()}};
    put_json(all);
  }
  return 0;
}

}  // namespace

Verb consolidate_verb() {
  Verb verb;
  verb.name = "consolidate";
  verb.summary = "the trained weights in a form that other programs open";
  verb.usage = "CKPT --output PATH [--dtype bf16|fp32] [--max_shard_size 5GB] [--ema] [--weights_only] [--json]";
  verb.details =
      "PATH ends in  .safetensors  one file\n"
      "              .pth          one file that torch.load(PATH, weights_only=True) opens: {\"model\": ..., "
      "\"epoch\": N}\n"
      "              .h5           one plain HDF5 file with a data set per parameter\n"
      "or is a directory that does not exist yet: shards of .safetensors with an index, and config.json, as Hugging\n"
      "Face lays them out.\n"
      "\n"
      "The tensors are bit for bit the trained ones, under their names: qwen.*, patch_embed.proj.*, classifier.*,\n"
      "and cls_token where there is one.\n"
      "fp32 comes from the masters. The backbone's config.json is written beside a file. Everything read is checked\n"
      "against the checkpoint's checksums. The memory needed does not grow with the model. The output appears under "
      "its\n"
      "name when it is whole.\n";
  verb.examples =
      "    tessera-ckpt consolidate results/quickstart/checkpoint-final --output model.safetensors\n"
      "    tessera-ckpt consolidate results/qwen3-8b/checkpoint-10 --output export/qwen3-8b --dtype bf16\n"
      "    tessera-ckpt consolidate results/qwen3-8b/checkpoint-10 --output model.pth --weights_only\n";
  verb.flags.add_options()("CKPT", po::value<std::string>())("output", po::value<std::string>(),
                                                             "where the weights go")(
      "dtype", po::value<std::string>(), "bf16 or fp32; as the weights are stored, where it is not given")(
      "max_shard_size", po::value<std::string>(), "of a directory's shards, such as 5GB, which it is by itself")(
      "ema", "the moving averages (finetune --ema_decay) in place of the weights")(
      "weights_only", "of a .pth: the bare state dict")("json", "what was written, as JSON on stdout")(
      "quiet", "no progress on stderr");
  verb.positional = {"CKPT"};
  verb.run = run;
  return verb;
}

}  // namespace tessera::tools

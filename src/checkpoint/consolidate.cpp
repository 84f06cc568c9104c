#include "tessera/checkpoint/consolidate.hpp"

#include "checkpoint/export.hpp"
#include "checkpoint/names.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/core/error.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

namespace tessera::checkpoint {
namespace {

namespace fs = std::filesystem;
using core::UserError;

enum class Form { kSafetensors, kDirectory, kHdf5, kPth };

Form form_of(const std::string& output) {
  const std::string ending = fs::path(output).extension().string();
  if (ending == ".safetensors") {
    return Form::kSafetensors;
  }
  if (ending == ".h5") {
    return Form::kHdf5;
  }
  if (ending == ".pth") {
    return Form::kPth;
  }
  // Names of files, by what people take them for: a directory called so is a slip.
  constexpr std::array<std::string_view, 8> kOthers{".bin", ".pt", ".ckpt", ".hdf5", ".gguf", ".npz", ".onnx", ".json"};
  core::require<UserError>(std::ranges::find(kOthers, ending) == kOthers.end(), "checkpoint",
                           "{} ends in {}, which is not written here: give a path that ends in .safetensors, .pth or "
                           ".h5, or a directory",
                           output, ending);
  return Form::kDirectory;
}

void check_options(const ConsolidateRequest& request, Form form) {
  core::require<UserError>(!request.output.empty(), "checkpoint", "the path of the output is empty");
  core::require<UserError>(form == Form::kDirectory || !request.max_shard_bytes, "checkpoint",
                           "{} is one file; shards have a largest size where the output is a directory",
                           request.output);
  core::require<UserError>(form == Form::kPth || !request.weights_only, "checkpoint",
                           "{} holds nothing but weights in any case; weights_only is for .pth files", request.output);
}

// Before the work: a place where the output cannot be, or that is not its own.
void check_place(const std::string& output, Form form, const io::FileSystem& files) {
  const std::string directory = io::parent_directory(output);
  std::error_code ignored;
  core::require<UserError>(!is_checkpoint(directory), "checkpoint",
                           "{} would lie inside of a checkpoint, which its own two files make whole; write beside it",
                           output);
  core::require<UserError>(form == Form::kDirectory || !fs::is_directory(output, ignored), "checkpoint",
                           "{} is a directory; name a file", output);
  files.require_writable("checkpoint", output, directory);
}

// The config.json that belongs beside `output`, put there unless it is there already. Another one is not ours to
// replace: it may be that of a model which lies in the same directory.
std::string write_config(const std::string& text, const std::string& output, const io::FileSystem& files) {
  if (text.empty()) {
    return "";
  }
  const std::string path = (fs::path(output).parent_path() / "config.json").string();
  if (!exists(path)) {
    files.atomic_write(path, text);
    return path;
  }
  constexpr std::int64_t kMostBytes = 1 << 24U;
  core::require<UserError>(io::read_text_file(path, kMostBytes) == text, "checkpoint",
                           "{} is there already and is not that of this checkpoint's model; write to another directory",
                           path);
  return path;
}

std::int64_t write_weights(Export& weights, Form form, const std::string& output) {
  switch (form) {
    case Form::kSafetensors:
      return export_safetensors(weights, output);
    case Form::kHdf5:
      return export_hdf5(weights, output);
    case Form::kPth:
      return export_pth(weights, output);
    case Form::kDirectory:
      break;
  }
  return export_directory(weights, output, weights.run().model_config_json);
}

}  // namespace

ConsolidateResult consolidate(const Reader& reader, const ConsolidateRequest& request) {
  const Form form = form_of(request.output);
  check_options(request, form);
  Export weights(reader, request);
  ConsolidateResult result;
  for (const ExportTensor& tensor : weights.tensors()) {
    result.num_parameters += tensor.num_elements();
    ++result.num_tensors;
  }
  const std::string& config = reader.run_state().model_config_json;
  std::string output = request.output;
  while (output.size() > 1 && output.back() == '/') {
    output.pop_back();
  }
  check_place(output, form, request.files);
  if (form != Form::kDirectory) {
    result.config_path = write_config(config, output, request.files);
  } else if (!config.empty()) {
    result.config_path = output + "/config.json";
  }
  result.bytes = write_weights(weights, form, output);
  return result;
}

}  // namespace tessera::checkpoint

#include "tessera/checkpoint/consolidate.hpp"

#include "tessera/checkpoint/restore.hpp"
#include "tessera/checkpoint/run_state_json.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/convert.hpp"
#include "tessera/io/safetensors_writer.hpp"

#include <filesystem>
#include <map>
#include <vector>

namespace tessera::checkpoint {
namespace {

namespace fs = std::filesystem;
using core::UserError;

struct Output {
  const StoredTensor* source = nullptr;
  core::DType dtype = core::DType::kFloat32;
};

// One entry per parameter, in the order of the checkpoint.
std::vector<Output> choose_sources(const Reader& reader, std::optional<core::DType> dtype) {
  std::vector<Output> outputs;
  for (const StoredTensor& tensor : reader.tensors()) {
    if (tensor.info.component == state::Component::kWeight) {
      const core::DType wanted = dtype.value_or(tensor.info.dtype);
      outputs.push_back({find_source(reader, tensor.info.parameter, state::Component::kWeight, wanted), wanted});
    }
  }
  core::require<UserError>(!outputs.empty(), "checkpoint", "{} has no weights", reader.path());
  return outputs;
}

std::map<std::string, std::string> make_metadata(const Reader& reader) {
  return {{"format", "pt"}, {"tessera_run", to_json(reader.run_state())}};
}

// The config.json that belongs beside `output`, put there unless it is there already. Another one is not ours to
// replace: it may be that of a model which lies in the same directory.
std::string write_config(const Reader& reader, const std::string& output, const io::FileSystem& files) {
  const std::string& text = reader.run_state().model_config_json;
  if (text.empty()) {
    return "";
  }
  const std::string path = (fs::path(output).parent_path() / "config.json").string();
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    files.atomic_write(path, text);
    return path;
  }
  constexpr std::int64_t kMostBytes = 1 << 24U;
  core::require<UserError>(io::read_text_file(path, kMostBytes) == text, "checkpoint",
                           "{} is there already and is not that of this checkpoint's model; write to another directory",
                           path);
  return path;
}

class Copier {
 public:
  Copier(const Reader& reader, const ConsolidateRequest& request, io::SafetensorsWriter& writer)
      : reader_(reader), request_(request), writer_(writer), done_bytes_(0) {}

  void copy(const Output& output) {
    for (const StoredRange& range : output.source->ranges) {
      const auto count = static_cast<std::size_t>(range.end - range.begin);
      stored_.resize(count * core::size_of(output.source->info.dtype));
      reader_.read(*output.source, range.begin, range.end, stored_.data());
      if (output.dtype == output.source->info.dtype) {
        writer_.write(stored_);
      } else {
        converted_.resize(count * core::size_of(output.dtype));
        io::convert_elements(output.source->info.dtype, stored_.data(), output.dtype, converted_.data(), count);
        writer_.write(converted_);
      }
      done_bytes_ += static_cast<std::int64_t>(count * core::size_of(output.dtype));
      if (request_.progress) {
        request_.progress(done_bytes_, writer_.file_bytes());
      }
    }
  }

 private:
  const Reader& reader_;
  const ConsolidateRequest& request_;
  io::SafetensorsWriter& writer_;
  std::vector<std::byte> stored_;
  std::vector<std::byte> converted_;
  std::int64_t done_bytes_;
};

}  // namespace

ConsolidateResult consolidate(const Reader& reader, const ConsolidateRequest& request) {
  core::require<UserError>(fs::path(request.output).extension() == ".safetensors", "checkpoint",
                           "the output {} must end in .safetensors", request.output);
  const std::vector<Output> outputs = choose_sources(reader, request.dtype);
  std::vector<io::SafetensorsSpec> specs;
  ConsolidateResult result;
  for (const Output& output : outputs) {
    specs.push_back({output.source->info.parameter, output.dtype, output.source->info.shape});
    result.num_parameters += output.source->num_elements();
  }
  request.files.make_directories(io::parent_directory(request.output));
  result.config_path = write_config(reader, request.output, request.files);
  io::SafetensorsWriter writer(request.output, specs, make_metadata(reader), request.files);
  Copier copier(reader, request, writer);
  for (const Output& output : outputs) {
    copier.copy(output);
  }
  writer.finish();
  result.num_tensors = static_cast<std::int64_t>(outputs.size());
  result.bytes = writer.file_bytes();
  return result;
}

}  // namespace tessera::checkpoint

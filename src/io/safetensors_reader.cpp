#include "tessera/core/error.hpp"
#include "tessera/io/convert.hpp"
#include "tessera/io/file_system.hpp"
#include "tessera/io/safetensors.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <set>

namespace tessera::io {
namespace {

using core::UserError;
using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::int64_t kLargestIndex = 1LL << 28U;

// {"weight_map": {tensor: file}} of an index. Shards lie beside it: a file name with a folder in it is refused.
std::map<std::string, std::string> read_weight_map(const std::string& path) {
  json index;
  try {
    index = json::parse(read_text_file(path, kLargestIndex));
  } catch (const json::exception& error) {
    core::fail<UserError>("io", "{} is not JSON: {}", path, error.what());
  }
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  core::require<UserError>(index.is_object() && map != index.end() && map->is_object() && !map->empty(), "io",
                           "{} has no 'weight_map' from tensors to files", path);
  std::map<std::string, std::string> file_of;
  for (const auto& [tensor, file] : map->items()) {
    core::require<UserError>(file.is_string(), "io", "{}: the file of tensor '{}' is not text", path, tensor);
    auto name = file.get<std::string>();
    core::require<UserError>(!name.empty() && name.find('/') == std::string::npos && name != "..", "io",
                             "{}: the file of tensor '{}' is '{}'; it must lie beside the index", path, tensor, name);
    file_of[tensor] = std::move(name);
  }
  return file_of;
}

}  // namespace

std::optional<core::DType> SafetensorsTensor::element_type() const {
  if (dtype == "F32") {
    return core::DType::kFloat32;
  }
  if (dtype == "BF16") {
    return core::DType::kBFloat16;
  }
  if (dtype == "F16") {
    return core::DType::kFloat16;
  }
  return std::nullopt;
}

SafetensorsReader::SafetensorsReader(std::vector<RandomAccessFile> files) {
  for (RandomAccessFile& file : files) {
    add_file(MappedFile(std::move(file)));
  }
}

SafetensorsReader::SafetensorsReader(const std::string& file_or_directory) {
  const fs::path path(file_or_directory);
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    add_file(MappedFile(file_or_directory));
    return;
  }
  const fs::path single = path / "model.safetensors";
  const fs::path index = path / "model.safetensors.index.json";
  if (fs::exists(single, ignored)) {
    add_file(MappedFile(single.string()));
  } else {
    core::require<UserError>(fs::exists(index, ignored), "io",
                             "{} has neither model.safetensors nor model.safetensors.index.json", file_or_directory);
    add_index(file_or_directory, index.string());
  }
}

void SafetensorsReader::add_file(MappedFile file) {
  const MappedFile& map = files_.emplace_back(std::move(file));
  const std::string& path = map.path();
  SafetensorsContents contents = parse_safetensors(map.bytes(), path);
  metadata_.merge(contents.metadata);
  for (SafetensorsTensor& tensor : contents.tensors) {
    const auto [other, is_new] = by_name_.emplace(tensor.name, tensors_.size());
    if (!is_new) {  // else there is no other yet whose file could be named
      core::fail<UserError>("io", "tensor '{}' is in {} and in {}", tensor.name, tensors_[other->second].file, path);
    }
    tensors_.push_back(std::move(tensor));
  }
}

void SafetensorsReader::add_index(const std::string& directory, const std::string& index_path) {
  const auto file_of = read_weight_map(index_path);
  std::set<std::string> names;
  for (const auto& [tensor, file] : file_of) {
    names.insert(file);
  }
  for (const std::string& name : names) {
    const std::string path = (fs::path(directory) / name).string();
    std::error_code ignored;
    core::require<UserError>(fs::exists(path, ignored), "io",
                             "{} names the shard {}, which is not there; copy it again", index_path, name);
    add_file(MappedFile(path));
  }
  for (const auto& [tensor, file] : file_of) {
    const SafetensorsTensor* const found = find(tensor);
    core::require<UserError>(found != nullptr && fs::path(found->file).filename() == file, "io",
                             "{} says that tensor '{}' is in {}, where it is not", index_path, tensor, file);
  }
}

const SafetensorsTensor* SafetensorsReader::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

void read_elements(const SafetensorsTensor& tensor, std::int64_t begin, std::int64_t end, core::DType to,
                   void* target) {
  const auto type = tensor.element_type();
  core::require<UserError>(type.has_value(), "io", "{}: tensor '{}' is of type {}; F32, BF16 and F16 are read here",
                           tensor.file, tensor.name, tensor.dtype);
  core::require(0 <= begin && begin <= end && end <= tensor.num_elements, "io",
                "elements {} to {} of tensor '{}' were asked for, which has {}", begin, end, tensor.name,
                tensor.num_elements);
  const auto* const source = tensor.bytes.data() + static_cast<std::size_t>(begin) * core::size_of(*type);
  convert_elements(*type, source, to, target, static_cast<std::size_t>(end - begin));
}

}  // namespace tessera::io

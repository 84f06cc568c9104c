#include "checkpoint/export.hpp"
#include "checkpoint/names.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/safetensors_writer.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>

namespace tessera::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kDefaultShardBytes = 5'000'000'000;

std::int64_t write_file(Export& weights, std::span<const ExportTensor> tensors, const std::string& path) {
  std::vector<io::SafetensorsSpec> specs;
  for (const ExportTensor& tensor : tensors) {
    specs.push_back({tensor.name(), tensor.dtype, tensor.shape()});
  }
  io::SafetensorsWriter writer(path, specs, weights.metadata(), weights.request().files);
  for (const ExportTensor& tensor : tensors) {
    weights.for_each_piece(tensor, [&](std::int64_t /*begin*/, std::int64_t /*end*/, std::span<const std::byte> bytes) {
      writer.write(bytes);
    });
  }
  writer.finish();
  return writer.file_bytes();
}

// As many tensors in a row as fit, and at least one.
std::vector<std::span<const ExportTensor>> cut_into_shards(const std::vector<ExportTensor>& tensors,
                                                           std::int64_t most_bytes) {
  std::vector<std::span<const ExportTensor>> shards;
  std::size_t begin = 0;
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (i > begin && bytes + tensors[i].num_bytes() > most_bytes) {
      shards.emplace_back(tensors.data() + begin, i - begin);
      begin = i;
      bytes = 0;
    }
    bytes += tensors[i].num_bytes();
  }
  shards.emplace_back(tensors.data() + begin, tensors.size() - begin);
  return shards;
}

// Removes a directory that did not become whole.
class Unfinished {
 public:
  Unfinished(std::string path, const io::FileSystem& files) : path_(std::move(path)), files_(files) {
    files_.remove_all(path_);
    files_.make_directory(path_);
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  Unfinished(Unfinished&&) = delete;
  Unfinished& operator=(Unfinished&&) = delete;
  ~Unfinished() {
    if (!finished_) {
      std::error_code ignored;
      fs::remove_all(path_, ignored);
    }
  }
  void become(const std::string& target) {
    files_.sync_directory(path_);
    files_.rename(path_, target);
    finished_ = true;
    files_.sync_directory(io::parent_directory(target));
  }

 private:
  std::string path_;
  const io::FileSystem& files_;
  bool finished_ = false;
};

}  // namespace

std::int64_t export_safetensors(Export& weights, const std::string& path) {
  return write_file(weights, weights.tensors(), path);
}

std::int64_t export_directory(Export& weights, const std::string& path, const std::string& config) {
  core::require<core::UserError>(!exists(path) || (fs::is_directory(path) && fs::is_empty(path)), "checkpoint",
                                 "{} exists and is not an empty directory; name one that does not exist", path);
  const io::FileSystem& files = weights.request().files;
  const std::string temporary = io::temporary_name(path);
  Unfinished directory(temporary, files);
  const auto shards =
      cut_into_shards(weights.tensors(), weights.request().max_shard_bytes.value_or(kDefaultShardBytes));
  nlohmann::ordered_json weight_map;
  std::int64_t file_bytes = 0;
  std::int64_t total_bytes = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    for (const ExportTensor& tensor : shards[i]) {
      weight_map[tensor.name()] = name;
      total_bytes += tensor.num_bytes();
    }
    file_bytes += write_file(weights, shards[i], fmt::format("{}/{}", temporary, name));
  }
  const nlohmann::ordered_json index{{"metadata", {{"total_size", total_bytes}}},
                                     {"weight_map", std::move(weight_map)}};
  files.write_file(temporary + "/model.safetensors.index.json", index.dump(2) + "\n");
  if (!config.empty()) {
    files.write_file(temporary + "/config.json", config);
  }
  directory.become(path);
  return file_bytes;
}

}  // namespace tessera::checkpoint

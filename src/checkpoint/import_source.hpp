#pragma once

#include "tessera/checkpoint/import.hpp"
#include "tessera/core/dtype.hpp"
#include "tessera/io/mapped_file.hpp"
#include "tessera/io/safetensors.hpp"
#include "tessera/io/torch_file.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace tessera::checkpoint {

/// Elements [begin, end) of a parameter, row-major, as they lie in a mapped file. Null data: zeros.
struct Fragment {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  core::DType dtype = core::DType::kFloat32;
  const std::byte* data = nullptr;
};

/// One parameter of a source: its components as fragments that cover it in order. Without optimizer state `weight`
/// alone.
struct ImportParameter {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t num_elements = 0;
  std::vector<Fragment> weight;
  std::vector<Fragment> master;
  std::vector<Fragment> exp_avg;
  std::vector<Fragment> exp_avg_sq;
};

class ImportSource::Contents {
 public:
  ImportFacts facts;
  std::vector<ImportParameter> parameters;
  std::deque<io::TorchFile> torch_files;
  std::optional<io::SafetensorsReader> safetensors;
  std::deque<io::MappedFile> mapped_files;

  [[nodiscard]] const ImportParameter* find(const std::string& name) const;
  /// Throws UserError where the name is there already.
  ImportParameter& add(std::string name, std::vector<std::int64_t> shape, std::int64_t num_elements);

 private:
  std::unordered_map<std::string, std::size_t> by_name_;
};

/// A DeepSpeed checkpoint's directory, or the one above it where `latest` names one; empty where it is neither.
std::string find_deepspeed_directory(const std::string& path);
void read_deepspeed(ImportSource::Contents& contents, const std::string& directory, const ImportOptions& options);
void read_hdf5_weights(ImportSource::Contents& contents, const std::string& path);
void read_torch_weights(ImportSource::Contents& contents, const std::string& path);
void read_safetensors_weights(ImportSource::Contents& contents, const std::string& path);

/// The weights of a state dict, in whatever type they have.
void add_state_dict(ImportSource::Contents& contents, const io::TorchArchive& archive, const io::PickleValue& state);

/// A parameter's place in the flat space of its group.
struct FlatParameter {
  std::string name;
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// The elements of `parameter` that each rank's piece holds. Throws UserError that begins with `where` where a piece
/// ends too early.
std::vector<Fragment> take_apart(const std::vector<io::TorchTensor>& pieces, std::int64_t partition_size,
                                 const FlatParameter& parameter, const std::string& where);

}  // namespace tessera::checkpoint

#pragma once

#include "tessera/core/dtype.hpp"
#include "tessera/io/mapped_file.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

// The safetensors format: 8 bytes of header length (little-endian), a JSON header, then the tensors' bytes, row-major
// and little-endian, in order and without holes. https://github.com/huggingface/safetensors

namespace tessera::io {

/// A tensor as it lies in a file's bytes.
struct SafetensorsTensor {
  std::string name;
  std::string dtype;  ///< as the file says it: "F32", "BF16", "I64", ...
  std::vector<std::int64_t> shape;
  std::int64_t num_elements = 0;
  std::span<const std::byte> bytes;
  std::string file;  ///< where it lies, for messages

  /// The type as one of ours; none for types that no weight has here.
  [[nodiscard]] std::optional<core::DType> element_type() const;
};

struct SafetensorsContents {
  std::vector<SafetensorsTensor> tensors;  ///< in the order in which they lie in the file
  std::map<std::string, std::string> metadata;
};

/// Checks and reads the bytes of a file; `file` names it in messages. Throws UserError that names the file, and the
/// tensor where it is one tensor's fault, for every way in which the bytes are not a safetensors file.
SafetensorsContents parse_safetensors(std::span<const std::byte> bytes, const std::string& file);

/// A model's tensors: one .safetensors file, or a Hugging Face directory with model.safetensors or with
/// model.safetensors.index.json and its shards. Memory-mapped: only what is read costs memory.
class SafetensorsReader {
 public:
  /// Throws UserError, as parse_safetensors() and MappedFile do, and where an index and its shards disagree.
  explicit SafetensorsReader(const std::string& file_or_directory);
  /// Of files that are open already: those of another reader, in its order, which has held them against an index.
  explicit SafetensorsReader(std::vector<RandomAccessFile> files);

  [[nodiscard]] const std::vector<MappedFile>& files() const { return files_; }

  /// Every tensor, file after file in the order of their names.
  [[nodiscard]] const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }
  /// Null where there is none of this name.
  [[nodiscard]] const SafetensorsTensor* find(std::string_view name) const;
  /// Of the one file, or all files' together.
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  void add_file(MappedFile file);
  void add_index(const std::string& directory, const std::string& index_path);

  std::vector<MappedFile> files_;
  std::vector<SafetensorsTensor> tensors_;
  std::unordered_map<std::string, std::size_t> by_name_;
  std::map<std::string, std::string> metadata_;
};

/// Elements [begin, end) of a tensor of F32, BF16 or F16, converted as convert_elements() does, to `target` of type
/// `to`. Throws UserError that names file and tensor where the type is another one; Error where the range is outside.
void read_elements(const SafetensorsTensor& tensor, std::int64_t begin, std::int64_t end, core::DType to, void* target);

}  // namespace tessera::io

#pragma once

#include "tessera/core/dtype.hpp"
#include "tessera/io/mapped_file.hpp"
#include "tessera/io/pickle.hpp"
#include "tessera/io/zip_reader.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

// What torch.save writes: a zip archive with a pickle, and each storage's bytes as a file beside it.

namespace tessera::io {

/// A tensor as it lies in a file's bytes: row-major, without gaps.
struct TorchTensor {
  std::string storage;  ///< "FloatStorage"
  std::vector<std::int64_t> shape;
  std::int64_t num_elements = 0;
  std::span<const std::byte> bytes;  ///< need not be aligned

  /// The type as one of ours; none for types that no weight has here.
  [[nodiscard]] std::optional<core::DType> element_type() const;
};

/// The contents of a file of torch.save, which lies in `bytes`. Runs nothing: objects other than tensors and plain
/// containers are read as descriptions where they are known to be in checkpoints of DeepSpeed and the reference
/// pipeline, and refused by name otherwise.
class TorchArchive {
 public:
  /// `file` names the bytes in messages. Throws UserError.
  TorchArchive(std::span<const std::byte> bytes, std::string file);

  [[nodiscard]] const PickleValue& root() const { return pickle_->value(); }
  [[nodiscard]] const std::string& file() const { return file_; }

  /// Whether this value is a tensor, whatever may be wrong with it.
  [[nodiscard]] static bool is_tensor(const PickleValue& value);
  /// `name` is what messages call it. Throws UserError where the value is no tensor, where it is not in the file, or
  /// where it is not row-major.
  [[nodiscard]] TorchTensor tensor(const PickleValue& value, std::string_view name) const;

  /// Of all files in the archive.
  [[nodiscard]] std::int64_t num_bytes() const;
  /// Reads every byte. Throws UserError that names the first file of the archive whose checksum is another.
  void verify(const std::function<void(std::int64_t num_bytes)>& progress) const;

 private:
  [[nodiscard]] TorchTensor storage_of(const PickleValue& id, std::string_view name) const;

  std::string file_;
  std::vector<ZipEntry> entries_;
  std::string prefix_;  // "archive/"
  std::unordered_map<std::string, std::size_t> by_name_;
  std::optional<Pickle> pickle_;
};

/// A file of torch.save, memory-mapped: only what is read costs memory.
class TorchFile {
 public:
  explicit TorchFile(const std::string& path) : map_(path), archive_(map_.bytes(), path) {}

  [[nodiscard]] const TorchArchive& archive() const { return archive_; }

 private:
  MappedFile map_;
  TorchArchive archive_;
};

}  // namespace tessera::io

#pragma once

#include "tessera/core/dtype.hpp"
#include "tessera/io/file_system.hpp"
#include "tessera/io/output_file.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace tessera::io {

struct SafetensorsSpec {
  std::string name;
  core::DType dtype = core::DType::kFloat32;
  std::vector<std::int64_t> shape;
};

/// Writes one .safetensors file in bounded memory: the header first, for which the shapes are enough, then the tensors'
/// bytes piece by piece. The file appears under its name when it is whole and synced, or not at all.
class SafetensorsWriter {
 public:
  /// Starts the file under its temporary name. `metadata` stands under "__metadata__"; {"format": "pt"} is what
  /// Hugging Face readers ask for. Throws core::Error where the file system refuses.
  SafetensorsWriter(std::string path, const std::vector<SafetensorsSpec>& tensors,
                    const std::map<std::string, std::string>& metadata, FileSystem files = {});
  /// The next bytes of the tensors, which follow each other in the order of the constructor. Pieces may be cut
  /// anywhere.
  void write(std::span<const std::byte> bytes);

  /// Syncs, renames, syncs the directory. Throws Error where bytes are missing.
  void finish();

  /// Of the whole file, known from the start.
  [[nodiscard]] std::int64_t file_bytes() const { return file_bytes_; }

 private:
  OutputFile file_;
  std::int64_t file_bytes_ = 0;
};

}  // namespace tessera::io

#pragma once

#include "tessera/checkpoint/consolidate.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/io/file_system.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace tessera::checkpoint {

/// One parameter as it is written.
struct ExportTensor {
  const StoredTensor* source = nullptr;
  core::DType dtype = core::DType::kFloat32;

  [[nodiscard]] const std::string& name() const { return source->info.parameter; }
  [[nodiscard]] const std::vector<std::int64_t>& shape() const { return source->info.shape; }
  [[nodiscard]] std::int64_t num_elements() const { return source->num_elements(); }
  [[nodiscard]] std::int64_t num_bytes() const {
    return num_elements() * static_cast<std::int64_t>(core::size_of(dtype));
  }
};

/// The weights of a checkpoint on their way to a file: read piece by piece, checked, converted, and reported.
class Export {
 public:
  Export(const Reader& reader, const ConsolidateRequest& request);

  /// In the order of the checkpoint.
  [[nodiscard]] const std::vector<ExportTensor>& tensors() const { return tensors_; }
  [[nodiscard]] const ConsolidateRequest& request() const { return request_; }
  [[nodiscard]] const state::RunState& run() const { return reader_.run_state(); }
  /// What a safetensors file says of itself.
  [[nodiscard]] std::map<std::string, std::string> metadata() const;

  using Piece = std::function<void(std::int64_t begin, std::int64_t end, std::span<const std::byte> bytes)>;
  /// Gives every element of a tensor once, in order, in the type of the output.
  void for_each_piece(const ExportTensor& tensor, const Piece& take);

 private:
  const Reader& reader_;
  const ConsolidateRequest& request_;
  std::vector<ExportTensor> tensors_;
  std::int64_t done_bytes_ = 0;
  std::int64_t total_bytes_ = 0;
  std::vector<std::byte> stored_;
  std::vector<std::byte> converted_;
};

// Each writes the whole output under its name, or nothing, and returns the bytes of the weights' files.
std::int64_t export_safetensors(Export& weights, const std::string& path);
/// `config` is the text of config.json; empty: none is written.
std::int64_t export_directory(Export& weights, const std::string& path, const std::string& config);
std::int64_t export_hdf5(Export& weights, const std::string& path);
std::int64_t export_pth(Export& weights, const std::string& path);

}  // namespace tessera::checkpoint

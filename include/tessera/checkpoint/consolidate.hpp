#pragma once

#include "tessera/checkpoint/reader.hpp"
#include "tessera/core/dtype.hpp"
#include "tessera/io/file_system.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace tessera::checkpoint {

struct ConsolidateRequest {
  std::string output;                ///< a path that ends in .safetensors
  std::optional<core::DType> dtype;  ///< bf16 or fp32; none: as each weight is stored
  std::function<void(std::int64_t done_bytes, std::int64_t total_bytes)> progress{};
  io::FileSystem files;
};

struct ConsolidateResult {
  std::int64_t num_tensors = 0;
  std::int64_t num_parameters = 0;
  std::int64_t bytes = 0;
  std::string config_path;  ///< of the backbone's config.json beside the output; empty: the checkpoint knows none
};

/// Writes the trained weights as one .safetensors file that other programs open: bit for bit as stored; fp32 from the
/// masters; bf16 from fp32 by rounding to nearest even. The backbone's config.json is put beside it. In the memory of
/// two pieces. Throws UserError where the checkpoint is damaged, where the output has another ending, or where another
/// config.json lies beside it; an output that exists is replaced, and only by a whole one.
ConsolidateResult consolidate(const Reader& reader, const ConsolidateRequest& request);

}  // namespace tessera::checkpoint

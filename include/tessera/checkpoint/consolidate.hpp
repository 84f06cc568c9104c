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
  /// A path that ends in .safetensors, .pth or .h5: one file of that kind. Any other: a Hugging Face directory.
  std::string output;
  std::optional<core::DType> dtype;             ///< bf16 or fp32; none: as each weight is stored
  std::optional<std::int64_t> max_shard_bytes;  ///< of a directory's shards; none: 5 GB
  bool averages = false;                        ///< the moving averages in place of the weights
  bool weights_only = false;                    ///< of a .pth: the bare state dict, without {"model":, "epoch":}
  std::function<void(std::int64_t done_bytes, std::int64_t total_bytes)> progress{};
  io::FileSystem files;
};

struct ConsolidateResult {
  std::int64_t num_tensors = 0;
  std::int64_t num_parameters = 0;
  std::int64_t bytes = 0;   ///< of the weights' file or files
  std::string config_path;  ///< of the backbone's config.json beside or inside; empty: the checkpoint knows none
};

/// Writes the trained weights so that other programs open them: bit for bit as stored; fp32 from the masters; bf16 from
/// fp32 by rounding to nearest even. The backbone's config.json is put beside the file, or into the directory. In the
/// memory of a few pieces, however large the model is. The output appears under its name when it is whole; a file of
/// that name is replaced. Throws UserError where the checkpoint is damaged, where the name ends like a kind of file
/// that is not written here, where another config.json lies beside the file, where the output would lie inside of a
/// checkpoint, where it cannot be written or is a directory that should be a file or is not empty, and where
/// max_shard_bytes or weights_only is given for an output that it does not concern.
ConsolidateResult consolidate(const Reader& reader, const ConsolidateRequest& request);

}  // namespace tessera::checkpoint

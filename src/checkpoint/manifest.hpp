#pragma once

#include "tessera/checkpoint/reader.hpp"
#include "tessera/state/run_state.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::checkpoint {

/// What manifest.json says of the checkpoint that it stands in.
struct Manifest {
  std::string created;
  state::RunState run;
  std::vector<StoredTensor> tensors;
  std::int64_t state_bytes = 0;        ///< of state.h5
  std::uint32_t structure_crc32c = 0;  ///< of all bytes of state.h5 that are no tensor's
};

std::string to_text(const Manifest& manifest);

/// Throws UserError that begins with `path` for every text that is not a whole manifest of a version known here.
Manifest parse_manifest(std::string_view text, const std::string& path);

/// What is wrong with the ranges or the place of a tensor, if anything: they must cover it once, in order, in pieces
/// that a reader can hold, inside the file.
std::optional<std::string> find_fault(const StoredTensor& tensor, std::int64_t file_bytes);

/// The manifest of a checkpoint directory whose files are all there in their sizes. Throws UserError.
Manifest read_manifest(const std::string& directory);

/// The byte ranges [first, second) of state.h5 that belong to no tensor, in order. Throws UserError where tensors lie
/// over each other.
std::vector<std::pair<std::int64_t, std::int64_t>> structure_extents(const std::vector<StoredTensor>& tensors,
                                                                     std::int64_t file_bytes, const std::string& path);

}  // namespace tessera::checkpoint

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tessera::checkpoint {

constexpr std::string_view kCheckpointPrefix = "checkpoint-";
constexpr std::string_view kTemporaryPrefix = ".tmp-";  // of io::temporary_name()
constexpr std::string_view kAsidePrefix = ".old-";

/// Where a checkpoint waits while another takes its name: "run/checkpoint-3" -> "run/.old-checkpoint-3".
std::string aside_name(const std::string& path);

bool exists(const std::string& path);

/// Bytes of a file. Throws Error where it cannot be told.
std::int64_t file_bytes(const std::string& path);

}  // namespace tessera::checkpoint

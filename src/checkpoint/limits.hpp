#pragma once

#include <cstdint>
#include <string_view>

namespace tessera::checkpoint {

constexpr std::string_view kFormatName = "tessera-checkpoint";
constexpr std::int64_t kFormatVersion = 4;
constexpr std::string_view kStateFile = "state.h5";
constexpr std::string_view kManifestFile = "manifest.json";
constexpr std::string_view kLatestFile = "latest";

/// Bytes of a range that a rank writes, and checksums, at once. Far below the 2 GiB at which one call of HDF5 1.10 over
/// MPI-IO fails, and small enough to be read again whole where only a part is wanted.
constexpr std::int64_t kPieceBytes = std::int64_t{16} << 20U;
/// Of a range in a file by any writer: what a reader may have to hold in memory.
constexpr std::int64_t kLargestRangeBytes = std::int64_t{256} << 20U;
constexpr std::int64_t kLargestManifest = std::int64_t{1} << 30U;

}  // namespace tessera::checkpoint

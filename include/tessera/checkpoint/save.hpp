#pragma once

#include "tessera/checkpoint/memory_copier.hpp"
#include "tessera/io/file_system.hpp"
#include "tessera/state/run_state.hpp"
#include "tessera/state/state_view.hpp"
#include "tessera/topology/group.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace tessera::checkpoint {

struct SaveRequest {
  std::string run_dir;            ///< made where it is missing; on a file system that every rank sees
  std::string name;               ///< "3", "step-40", "final", "best", with "checkpoint-" before it or not
  state::StateDescription state;  ///< the same tensors on every rank, and this rank's pieces
  state::RunState run;            ///< rank 0's is stored
  topology::Group group = topology::Group::self();
  MemoryCopier copier;
  std::string created;   ///< UTC like "2026-01-31T12:00:00Z"; empty: now. Nothing else in the files tells the time
  io::FileSystem files;  ///< tests watch and fail it
};

struct SaveResult {
  std::string path;          ///< run_dir/checkpoint-NAME
  std::int64_t bytes = 0;    ///< of the checkpoint's files
  double seconds = 0;        ///< of the whole save
  double write_seconds = 0;  ///< of the slowest rank's copying, checksumming and writing
  std::string warning;       ///< on rank 0: what could not be tidied up afterwards; empty where all could
};

/// Saves the state as run_dir/checkpoint-NAME: state.h5 and manifest.json, as docs/checkpoint_format.md says.
///
/// All or nothing: everything is written under another name, synced, and renamed; then `latest` names it. A checkpoint
/// of the same name stays until the new one takes its place. Where any step fails on any rank, what was written is
/// removed, the checkpoints that were there stay, and every rank throws the same error. (A failure after the rename, to
/// write `latest` or to sync the directory, is an error too, but leaves the new checkpoint, which is whole.)
///
/// Each rank needs its shard and one buffer of kPieceBytes (none where the state is host memory). Collective over
/// request.group. All HDF5 calls of a process must come from one thread at a time.
SaveResult save(const SaveRequest& request);

/// Of the HDF5 library that the program runs with: "1.10.8".
std::string hdf5_version();
/// Of the one that it was compiled against.
std::string compiled_hdf5_version();
/// Whether the library that the program runs with can write from many ranks.
bool hdf5_is_parallel();

/// "3" -> "checkpoint-3", "checkpoint-3" -> "checkpoint-3". Throws UserError where the name cannot be a directory's.
std::string checkpoint_directory_name(std::string_view name);

}  // namespace tessera::checkpoint

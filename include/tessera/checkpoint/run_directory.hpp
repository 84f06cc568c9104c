#pragma once

#include "tessera/io/file_system.hpp"
#include "tessera/state/run_state.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// The directory of a run: its checkpoints, and the file `latest`. One process at a time changes it.

namespace tessera::checkpoint {

struct CheckpointEntry {
  std::string name;  ///< "checkpoint-3"
  std::string path;
  std::string problem;  ///< why it is not whole; empty where it is, as far as manifest and sizes tell
  state::RunState run;
  std::int64_t bytes = 0;
  std::string created;

  [[nodiscard]] bool whole() const { return problem.empty(); }
};

/// Whether `path` is one of our checkpoints, whole or not, rather than files of weights.
bool is_checkpoint(const std::string& path);

/// Every directory named checkpoint-*, those that are not whole first, then by steps done and by time of creation. A
/// run directory that does not exist has none; throws UserError where one cannot be read.
std::vector<CheckpointEntry> list_checkpoints(const std::string& run_dir);

/// The path of what `latest` names where that is whole, else of the whole checkpoint with the most steps.
std::optional<std::string> find_latest(const std::string& run_dir);
/// The same of a list that list_checkpoints() gave.
std::optional<std::string> find_latest(const std::string& run_dir, const std::vector<CheckpointEntry>& entries);

/// Puts the directory in order after a run that was killed: removes what an unfinished save or removal left, and puts
/// back a checkpoint that was about to be replaced. Returns one line per thing done. Not while a save is under way.
std::vector<std::string> recover(const std::string& run_dir, const io::FileSystem& files = {});

struct PruneRequest {
  std::int64_t keep_last = 0;       ///< whole checkpoints with the most steps that stay; 0: all
  std::vector<std::string> keep{};  ///< names that stay and are not counted, such as "checkpoint-best"
  bool dry_run = false;
};

/// Removes whole checkpoints and returns their names. What `latest` names stays, so do those that are not whole (they
/// may hold something that can be saved), and so does at least one whole one.
std::vector<std::string> prune(const std::string& run_dir, const PruneRequest& request,
                               const io::FileSystem& files = {});

}  // namespace tessera::checkpoint

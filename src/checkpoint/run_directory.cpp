#include "tessera/checkpoint/run_directory.hpp"

#include "checkpoint/limits.hpp"
#include "checkpoint/manifest.hpp"
#include "checkpoint/names.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/core/error.hpp"

#include <algorithm>
#include <filesystem>
#include <tuple>

namespace tessera::checkpoint {
namespace {

namespace fs = std::filesystem;

// None where the directory is not there; one that cannot be read may hold any.
std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  core::require<core::UserError>(!error || error == std::errc::no_such_file_or_directory, "checkpoint",
                                 "cannot list {}: {}", directory, error.message());
  std::ranges::sort(names);
  return names;
}

CheckpointEntry read_entry(const std::string& run_dir, const std::string& name) {
  CheckpointEntry entry;
  entry.name = name;
  entry.path = run_dir + "/" + name;
  try {
    const Manifest manifest = read_manifest(entry.path);
    entry.run = manifest.run;
    entry.created = manifest.created;
    entry.bytes = manifest.state_bytes + file_bytes(entry.path + "/" + std::string(kManifestFile));
  } catch (const core::Error& error) {
    entry.problem = error.what();
  }
  return entry;
}

// The name in `latest`, or nothing where the file is not there or holds no checkpoint's name.
std::string read_latest(const std::string& run_dir) {
  const std::string path = run_dir + "/" + std::string(kLatestFile);
  constexpr std::int64_t kMostBytes = 4096;
  std::string name;
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) {
    return "";
  }
  try {
    name = io::read_text_file(path, kMostBytes);
  } catch (const core::UserError&) {
    return "";
  }
  while (!name.empty() && (name.back() == '\n' || name.back() == '\r' || name.back() == ' ')) {
    name.pop_back();
  }
  const bool is_checkpoint = name.starts_with(kCheckpointPrefix) && name.find('/') == std::string::npos;
  return is_checkpoint ? name : "";
}

}  // namespace

std::string checkpoint_directory_name(std::string_view name) {
  const std::string directory =
      name.starts_with(kCheckpointPrefix) ? std::string(name) : std::string(kCheckpointPrefix) + std::string(name);
  const bool usable = directory.size() > kCheckpointPrefix.size() &&
                      directory.find_first_not_of(
                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == std::string::npos;
  core::require<core::UserError>(
      usable, "checkpoint", "'{}' cannot be the name of a checkpoint: letters, digits, '.', '_' and '-' can", name);
  return directory;
}

std::string aside_name(const std::string& path) {
  const fs::path target(path);
  return (target.parent_path() / (std::string(kAsidePrefix) + target.filename().string())).string();
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

std::int64_t file_bytes(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  core::require(!error, "checkpoint", "cannot read the size of {}: {}", path, error.message());
  return static_cast<std::int64_t>(size);
}

bool is_checkpoint(const std::string& path) {
  return exists(path + "/" + std::string(kManifestFile)) || exists(path + "/" + std::string(kStateFile));
}

std::vector<CheckpointEntry> list_checkpoints(const std::string& run_dir) {
  std::vector<CheckpointEntry> entries;
  for (const std::string& name : names_in(run_dir)) {
    if (name.starts_with(kCheckpointPrefix)) {
      entries.push_back(read_entry(run_dir, name));
    }
  }
  const auto age = [](const CheckpointEntry& entry) {
    return std::tuple(entry.whole(), entry.run.global_step, entry.created, entry.name);
  };
  std::ranges::sort(entries, [&](const auto& left, const auto& right) { return age(left) < age(right); });
  return entries;
}

std::optional<std::string> find_latest(const std::string& run_dir) {
  return find_latest(run_dir, list_checkpoints(run_dir));
}

std::optional<std::string> find_latest(const std::string& run_dir, const std::vector<CheckpointEntry>& entries) {
  const std::string latest = read_latest(run_dir);
  const auto named = std::ranges::find(entries, latest, &CheckpointEntry::name);
  if (named != entries.end() && named->whole()) {
    return named->path;
  }
  if (entries.empty() || !entries.back().whole()) {
    return std::nullopt;
  }
  return entries.back().path;
}

std::vector<std::string> recover(const std::string& run_dir, const io::FileSystem& files) {
  std::vector<std::string> done;
  const std::string directory = run_dir + "/";
  const std::string aside = std::string(kAsidePrefix) + std::string(kCheckpointPrefix);
  const std::string unfinished = std::string(kTemporaryPrefix) + std::string(kCheckpointPrefix);
  const std::string unfinished_latest = std::string(kTemporaryPrefix) + std::string(kLatestFile);
  for (const std::string& name : names_in(run_dir)) {
    const std::string path = directory + name;
    const std::string original = name.starts_with(aside) ? name.substr(kAsidePrefix.size()) : "";
    if (!original.empty() && !exists(directory + original)) {
      files.rename(path, directory + original);
      done.push_back(fmt::format("put back {}, which an interrupted save was about to replace", original));
    } else if (!original.empty() || name.starts_with(unfinished) || name == unfinished_latest) {
      files.remove_all(path);
      done.push_back(fmt::format("removed {}, which an interrupted save or removal left", name));
    }
  }
  if (!done.empty()) {
    files.sync_directory(run_dir);
  }
  return done;
}

std::vector<std::string> prune(const std::string& run_dir, const PruneRequest& request, const io::FileSystem& files) {
  std::vector<std::string> removed;
  if (request.keep_last <= 0) {
    return removed;
  }
  std::vector<CheckpointEntry> candidates = list_checkpoints(run_dir);
  const std::string latest = read_latest(run_dir);
  std::erase_if(candidates, [&](const CheckpointEntry& entry) {
    return !entry.whole() || std::count(request.keep.begin(), request.keep.end(), entry.name) > 0;
  });
  const auto num_surplus = static_cast<std::int64_t>(candidates.size()) - request.keep_last;
  for (std::int64_t i = 0; i < num_surplus; ++i) {
    const CheckpointEntry& entry = candidates[static_cast<std::size_t>(i)];
    if (entry.name == latest) {
      continue;
    }
    if (!request.dry_run) {
      // Under its name a checkpoint is whole or not there, while it is removed too.
      files.remove_all(io::temporary_name(entry.path));
      files.rename(entry.path, io::temporary_name(entry.path));
      files.sync_directory(run_dir);
      files.remove_all(io::temporary_name(entry.path));
    }
    removed.push_back(entry.name);
  }
  return removed;
}

}  // namespace tessera::checkpoint

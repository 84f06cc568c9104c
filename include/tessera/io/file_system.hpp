#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace tessera::io {

/// The steps that a durable write consists of. Each one is checked; a failure is a core::Error with the path and the
/// system's reason.
///
/// An observer is told of every step before it is taken. It exists for tests, which fail or kill the program there.
class FileSystem {
 public:
  using Observer = std::function<void(std::string_view step, const std::string& path)>;

  FileSystem() = default;
  /// `can_exchange` false: as on a file system that cannot exchange two names at once.
  explicit FileSystem(Observer before, bool can_exchange = true)
      : before_(std::move(before)), can_exchange_(can_exchange) {}

  /// Tells the observer of a step that another library takes.
  void announce(std::string_view step, const std::string& path) const;

  /// Makes a directory that must not exist yet. Its parent must.
  void make_directory(const std::string& path) const;
  /// Makes the directory and its missing parents; one that exists is well. Each new entry is synced.
  void make_directories(const std::string& path) const;
  /// Makes the directory where it is missing, and a file in it that is removed again: permissions, quotas and read-only
  /// mounts show only so.
  void check_writable(const std::string& directory) const;
  /// The same for what a user named: throws UserError "WHAT cannot be written" with the reason, in the name of `who`.
  void require_writable(std::string_view who, std::string_view what, const std::string& directory) const;
  /// Creates or truncates the file, writes `text`, and returns when the disk has it.
  void write_file(const std::string& path, std::string_view text) const;
  /// Returns when the disk has the file's bytes.
  void sync_file(const std::string& path) const;
  /// Returns when the disk has the directory's entries (new names, renames, removals).
  void sync_directory(const std::string& path) const;
  /// Takes the disk space for the first `num_bytes` of an existing file now, so that a full disk or a quota is met
  /// here. Does nothing on file systems that cannot.
  void reserve(const std::string& path, std::int64_t num_bytes) const;
  /// `from` becomes `to`; a file that was there is replaced in the same instant.
  void rename(const std::string& from, const std::string& to) const;
  /// Exchanges two names in one instant. Returns false, with nothing changed, where the file system cannot.
  [[nodiscard]] bool exchange(const std::string& first, const std::string& second) const;
  /// Removes a file, or a directory with all that is in it; one that is not there is well.
  void remove_all(const std::string& path) const;

  /// `path` holds what it held or all of `text`, whenever the program or the machine stops: written beside it under
  /// temporary_name(), synced, renamed, and the directory synced. Where that fails nothing is left beside it.
  void atomic_write(const std::string& path, std::string_view text) const;

 private:
  Observer before_;
  bool can_exchange_ = true;
};

/// The name under which `path` is written before it is whole: "a/b" -> "a/.tmp-b".
std::string temporary_name(const std::string& path);

/// The directory that holds `path`: "a/b" -> "a", "b" -> ".".
std::string parent_directory(const std::string& path);

/// All of a small file (a manifest, a configuration). Throws UserError with the path and the system's reason, or where
/// the file is larger than `max_bytes`.
std::string read_text_file(const std::string& path, std::int64_t max_bytes);

}  // namespace tessera::io

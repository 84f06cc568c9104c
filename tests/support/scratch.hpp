#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace tessera::test {

/// A new directory for one test's files, removed with them.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ScratchDirectory(ScratchDirectory&&) = delete;
  ScratchDirectory& operator=(ScratchDirectory&&) = delete;
  ~ScratchDirectory();

  [[nodiscard]] const std::string& path() const { return path_; }
  /// "directory/name".
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& bytes);
/// Names in a directory, sorted.
std::vector<std::string> list_directory(const std::string& path);

/// The message of the exception of type E that `work` throws; "nothing was thrown" or another type's message, marked,
/// otherwise, so that a test which looks for words in it fails readably.
template <class E>
std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("an exception of another type: ") + error.what();
  }
  return "nothing was thrown";
}

struct CommandResult {
  int status = 0;
  std::string output;  ///< stdout and stderr
};
/// Runs a shell command.
CommandResult run_command(const std::string& command);

/// The interpreter that has the programs which read our files (CMake's TESSERA_TEST_PYTHON), or the system's.
std::string python();
/// Whether the system's interpreter has the module. One that was made for the tests must have it: always true then, and
/// what needs the module fails rather than is skipped.
bool python_has(const std::string& module);

}  // namespace tessera::test

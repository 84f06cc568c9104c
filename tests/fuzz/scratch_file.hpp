#pragma once

#include "tessera/checkpoint/import.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace tessera::fuzz {

/// For readers that want a path: a directory in memory, which goes with the program.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string path = "/dev/shm/tessera-fuzz-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) {
      std::abort();
    }
    path_ = path;
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ScratchDirectory(ScratchDirectory&&) = delete;
  ScratchDirectory& operator=(ScratchDirectory&&) = delete;
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }

  [[nodiscard]] const std::string& path() const { return path_; }
  /// Returns the file's path.
  std::string write(const std::string& name, const std::string& bytes) const {
    const std::string file = path_ + "/" + name;
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
    return file;
  }

 private:
  std::string path_;
};

/// The first and the last elements of every parameter.
inline void read_everything(const checkpoint::ImportSource& source) {
  for (const auto& [name, shape] : source.parameters()) {
    std::int64_t count = 1;
    for (const std::int64_t extent : shape) {
      count *= extent;
    }
    std::vector<float> values(static_cast<std::size_t>(std::min<std::int64_t>(count, 64)));
    source.read_floats(name, 0, values);
    source.read_floats(name, count - static_cast<std::int64_t>(values.size()), values);
  }
}

}  // namespace tessera::fuzz

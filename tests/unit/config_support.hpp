#pragma once

#include "tessera/config/command_line.hpp"
#include "tessera/config/effective_settings.hpp"
#include "tessera/core/error.hpp"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace tessera::config {

/// A directory that is gone with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tessera_config_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }

  [[nodiscard]] std::string path(const std::string& name = "") const {
    return name.empty() ? path_.string() : (path_ / name).string();
  }
  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    return path(name);
  }

 private:
  std::filesystem::path path_;
};

inline Command parse(const std::vector<std::string>& words) {
  std::vector<const char*> argv{"tessera"};
  for (const std::string& word : words) {
    argv.push_back(word.c_str());
  }
  return parse_command_line(static_cast<int>(argv.size()), argv.data());
}

/// The message of the UserError that `run` throws; empty where it throws none.
template <class Run>
std::string message_of(Run run) {
  try {
    run();
    return {};
  } catch (const core::UserError& error) {
    return error.what();
  }
}

inline std::string complaint(const std::vector<std::string>& words) {
  return message_of([&] { parse(words); });
}

inline std::vector<std::string> operator+(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// `tessera config` reading a file with this text.
inline std::vector<std::string> with_json(const TemporaryDirectory& directory, const std::string& text) {
  return {"config", "--config", directory.write("run.json", text)};
}

inline nlohmann::json settings_of(const Command& command) { return nlohmann::json::parse(to_json(command.run, {})); }

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

#define EXPECT_CONTAINS(text, part) EXPECT_TRUE(contains(text, part)) << "in: " << (text) << "\nnot found: " << (part)

}  // namespace tessera::config

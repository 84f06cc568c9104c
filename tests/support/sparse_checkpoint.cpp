#include "support/sparse_checkpoint.hpp"

#include "checkpoint/limits.hpp"
#include "checkpoint/manifest.hpp"
#include "checkpoint/state_file.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/crc32c.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

namespace tessera::test {
namespace {

using Clock = std::chrono::steady_clock;
using state::Component;

std::vector<state::TensorInfo> tensors_of(const std::vector<NamedExtents>& parameters) {
  std::vector<state::TensorInfo> tensors;
  for (const auto& [name, shape] : parameters) {
    tensors.push_back({name, Component::kWeight, core::DType::kBFloat16, shape});
    for (const Component component : {Component::kMaster, Component::kExpAvg, Component::kExpAvgSq}) {
      tensors.push_back({name, component, core::DType::kFloat32, shape});
    }
  }
  return tensors;
}

void cut_into_ranges(checkpoint::StoredTensor& tensor, const std::vector<std::byte>& zeros) {
  const auto element_bytes = static_cast<std::int64_t>(core::size_of(tensor.info.dtype));
  const std::int64_t piece = checkpoint::kPieceBytes / element_bytes;
  const std::uint32_t whole_crc = io::crc32c(zeros.data(), zeros.size());
  for (std::int64_t begin = 0; begin < tensor.num_elements(); begin += piece) {
    const std::int64_t end = std::min(begin + piece, tensor.num_elements());
    const bool whole = end - begin == piece;
    tensor.ranges.push_back(
        {begin, end,
         whole ? whole_crc : io::crc32c(zeros.data(), static_cast<std::size_t>((end - begin) * element_bytes))});
  }
}

// All but the two ends, which a writer may come back to: the headers of archives, the structure of HDF5.
void punch(const std::string& path) {
  constexpr std::int64_t kLeft = std::int64_t{256} << 20U;
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) {
    return;
  }
  struct stat seen {};
  if (::fstat(file, &seen) == 0 && seen.st_size > 2 * kLeft) {
    ::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kLeft, seen.st_size - 2 * kLeft);
  }
  ::close(file);
}

pid_t start(const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  for (const std::string& word : words) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  core::require(child >= 0, "test", "cannot start {}", words.at(0));
  if (child == 0) {
    const int null = ::open("/dev/null", O_WRONLY);
    ::dup2(null, STDOUT_FILENO);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  return child;
}

}  // namespace

std::string write_sparse_checkpoint(const std::string& run_dir, const std::vector<NamedExtents>& parameters,
                                    const state::RunState& run) {
  const std::string directory = run_dir + "/checkpoint-sparse";
  std::filesystem::create_directories(directory);
  const std::string file = directory + "/" + std::string(checkpoint::kStateFile);
  checkpoint::Manifest manifest;
  manifest.created = "2026-01-31T12:00:00Z";
  manifest.run = run;
  const std::vector<state::TensorInfo> tensors = tensors_of(parameters);
  const std::vector<std::int64_t> offsets = checkpoint::create_state_file(file, tensors, run);
  // This process stays small: what it holds when it starts a program counts as that one's.
  const std::vector<std::byte> zeros(static_cast<std::size_t>(checkpoint::kPieceBytes));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    checkpoint::StoredTensor& tensor = manifest.tensors.emplace_back();
    tensor.info = tensors[i];
    tensor.offset = offsets[i];
    cut_into_ranges(tensor, zeros);
  }
  manifest.state_bytes = static_cast<std::int64_t>(std::filesystem::file_size(file));
  const auto extents = checkpoint::structure_extents(manifest.tensors, manifest.state_bytes, file);
  manifest.structure_crc32c = checkpoint::checksum_extents(file, extents);
  std::ofstream(directory + "/" + std::string(checkpoint::kManifestFile)) << checkpoint::to_text(manifest);
  return directory;
}

MeasuredRun run_measured(const std::vector<std::string>& words, const std::string& growing) {
  const auto begin = Clock::now();
  const pid_t child = start(words);
  int status = 0;
  rusage usage{};
  while (::wait4(child, &status, WNOHANG, &usage) == 0) {
    if (!growing.empty()) {
      punch(growing);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          std::chrono::duration<double>(Clock::now() - begin).count(), usage.ru_maxrss * 1024};
}

}  // namespace tessera::test

// How fast consolidate is beside a plain copy of the same bytes, and how much memory it takes for a large model.
//   consolidate_bench rate TESSERA_CKPT DIRECTORY [BYTES=2GiB] [ROUNDS=5]
//   consolidate_bench memory TESSERA_CKPT DIRECTORY [MODEL=qwen3-32b]
// rate: the bf16 weights of a real checkpoint to each kind of file, in turn with a copy of model.safetensors (read and
// write of 16 MiB at a time); what is read is not in the page cache, and fsync is in every figure. Medians. memory: a
// checkpoint of the model whose tensors are holes, consolidated to each kind of file, which is punched out behind the
// writer: DIRECTORY needs little room (for .pth, whose space is reserved before, as much as the file for a while).
#include "support/sparse_checkpoint.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"
#include "tessera/io/file_system.hpp"
#include "tessera/model/param_table.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using namespace tessera;
using Clock = std::chrono::steady_clock;

const std::vector<std::string> kOutputs{"model.safetensors", "hub", "model.pth", "model.h5"};

// On the disk, and no longer in the page cache.
void make_cold(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  core::require(file >= 0 && ::fsync(file) == 0, "bench", "cannot sync {}", path);
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  ::close(file);
}

double copy(const std::string& from, const std::string& to) {
  make_cold(from);
  const auto start = Clock::now();
  const int in = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
  const int out = ::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  std::vector<char> buffer(16U << 20U);
  for (ssize_t count = 0; (count = ::read(in, buffer.data(), buffer.size())) > 0;) {
    core::require(::write(out, buffer.data(), static_cast<std::size_t>(count)) == count, "bench", "cannot write {}",
                  to);
  }
  core::require(::fsync(out) == 0, "bench", "cannot sync {}", to);
  ::close(in);
  ::close(out);
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// 32 matrices of bf16 weights, without optimizer state: every byte is consolidated.
std::string save_weights(const std::string& directory, std::int64_t bytes) {
  constexpr std::int64_t kTensors = 32;
  constexpr std::int64_t kColumns = 4096;
  const std::int64_t rows = std::max<std::int64_t>(bytes / (2 * kTensors * kColumns), 1);
  std::vector<std::uint16_t> values(static_cast<std::size_t>(rows * kColumns));
  std::uint32_t state = 1;
  for (std::uint16_t& value : values) {
    state = state * 1664525U + 1013904223U;
    value = static_cast<std::uint16_t>(0x3C00U | (state >> 22U));
  }
  checkpoint::SaveRequest request;
  request.run_dir = directory;
  request.name = "rate";
  for (std::int64_t i = 0; i < kTensors; ++i) {
    const state::TensorInfo tensor{
        fmt::format("layers.{}.weight", i), state::Component::kWeight, core::DType::kBFloat16, {rows, kColumns}};
    request.state.tensors.push_back(tensor);
    request.state.mine.push_back(
        {tensor.parameter, tensor.component, tensor.dtype, tensor.shape, 0, rows * kColumns, values.data()});
  }
  return checkpoint::save(request).path;
}

std::string growing_name(const std::string& output) {
  return io::temporary_name(output) +
         (fs::path(output).extension().empty() ? "/.tmp-model-00001-of-00001.safetensors" : "");
}

test::MeasuredRun consolidate(const std::string& tool, const std::string& checkpoint, const std::string& output,
                              bool punches) {
  fs::remove_all(output);
  std::vector<std::string> words{tool, "consolidate", checkpoint, "--output", output, "--quiet"};
  if (punches && fs::path(output).extension().empty()) {
    words.insert(words.end(), {"--max_shard_size", "1TiB"});
  }
  const test::MeasuredRun run = test::run_measured(words, punches ? growing_name(output) : "");
  core::require(run.status == 0, "bench", "consolidate to {} ended with {}", output, run.status);
  return run;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void measure_rate(const std::string& tool, const std::string& directory, std::int64_t bytes, int rounds) {
  const std::string checkpoint = save_weights(directory, bytes);
  std::map<std::string, std::vector<double>> seconds;
  for (int round = 0; round <= rounds; ++round) {
    for (const std::string& name : kOutputs) {
      make_cold(checkpoint + "/state.h5");
      const double taken = consolidate(tool, checkpoint, directory + "/" + name, false).seconds;
      const double plain = copy(directory + "/model.safetensors", directory + "/copy");
      if (round > 0) {
        seconds[name].push_back(taken);
        seconds["plain copy"].push_back(plain);
      }
    }
  }
  const double reference = median(seconds["plain copy"]);
  std::printf("%s\n", core::format_bytes(static_cast<double>(bytes)).c_str());
  for (const auto& [name, taken] : seconds) {
    std::printf("%-20s %6.2f GB/s (%.2f s, %.2f to %.2f)  %5.1f%% of the plain copy\n", name.c_str(),
                static_cast<double>(bytes) / median(taken) / 1e9, median(taken), *std::ranges::min_element(taken),
                *std::ranges::max_element(taken), 100 * reference / median(taken));
  }
}

void measure_memory(const std::string& tool, const std::string& directory, const std::string& preset) {
  std::vector<test::NamedExtents> parameters;
  std::int64_t num_elements = 0;
  for (const model::Param& param : model::build_param_table(config::model_preset(preset), {224, 16, 100}).params) {
    parameters.push_back({param.name, param.shape});
    num_elements += param.num_elements();
  }
  state::RunState run;
  run.model_config_json = config::to_hugging_face_json(config::model_preset(preset));
  const std::string checkpoint = test::write_sparse_checkpoint(directory, parameters, run);
  std::printf("%s: %lld parameters, %s of weights\n", preset.c_str(), static_cast<long long>(num_elements),
              core::format_bytes(2 * static_cast<double>(num_elements)).c_str());
  for (const std::string& name : kOutputs) {
    const test::MeasuredRun measured = consolidate(tool, checkpoint, directory + "/" + name, true);
    std::printf("%-20s peak memory %8s, %.1f s\n", name.c_str(),
                core::format_bytes(static_cast<double>(measured.peak_bytes)).c_str(), measured.seconds);
    std::fflush(stdout);
    fs::remove_all(directory + "/" + name);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 3 ? argv[1] : "";
  if (what == "rate") {
    measure_rate(argv[2], argv[3], core::parse_bytes(argc > 4 ? argv[4] : "2GiB"), argc > 5 ? std::stoi(argv[5]) : 5);
  } else if (what == "memory") {
    measure_memory(argv[2], argv[3], argc > 4 ? argv[4] : "qwen3-32b");
  } else {
    std::fprintf(stderr, "usage: consolidate_bench rate|memory TESSERA_CKPT DIRECTORY [BYTES|MODEL] [ROUNDS]\n");
    return 2;
  }
  return 0;
}

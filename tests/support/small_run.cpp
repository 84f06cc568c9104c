#include "support/small_run.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <sstream>

namespace tessera::test {
namespace {

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    bytes += static_cast<char>(value >> shift & 0xFFU);
  }
  return bytes;
}

// Bright where (row + column * (label + 1)) is a multiple of label + 2, with some noise from the image's number.
char pixel(int image, int label, int row, int column) {
  const int pattern = (row + column * (label + 1)) % (label + 2) == 0 ? 160 : 30;
  return static_cast<char>(pattern + (image * 31 + row * 17 + column * 7) % 60);
}

void write_part(const std::string& prefix, int count, int first) {
  const auto num = static_cast<std::uint32_t>(count);
  std::string images = big_endian(0x803) + big_endian(num) + big_endian(28) + big_endian(28);
  std::string labels = big_endian(0x801) + big_endian(num);
  for (int i = first; i < first + count; ++i) {
    const int label = i % 10;
    labels += static_cast<char>(label);
    for (int p = 0; p < 28 * 28; ++p) {
      images += pixel(i, label, p / 28, p % 28);
    }
  }
  write_file(prefix + "-images-idx3-ubyte", images);
  write_file(prefix + "-labels-idx1-ubyte", labels);
}

const std::string kModel =
    R"({"model_type": "qwen3", "hidden_act": "silu", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 16, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 64, "rope_theta": 1000000, "initializer_range": 0.05, "tie_word_embeddings": false,
        "attention_bias": false})";

}  // namespace

void write_small_dataset(const std::string& directory, int num_train, int num_test) {
  std::filesystem::create_directories(directory);
  write_part(directory + "/train", num_train, 0);
  write_part(directory + "/t10k", num_test, num_train);
  write_file(directory + "/model.json", kModel);
}

CommandResult finetune(int ranks, const std::string& data, const std::string& output, const std::string& flags) {
  std::string words = "finetune --device cpu --dataset fashion-mnist --data_path " + data + " --model_config " + data +
                      "/model.json --random_init --num_workers 1";
  const auto unless_given = [&](const std::string& flag, const std::string& otherwise) {
    words += flags.find(flag) == std::string::npos ? " " + otherwise : "";
  };
  unless_given("--input_size", "--input_size 28 --patch_size 7");
  unless_given("--warmup_", "--warmup_epochs 0.5");
  unless_given("lr ", "--blr 0.02");
  return run_ranks(ranks, words + (output.empty() ? "" : " --output_dir " + output) + " " + flags);
}

CommandResult run_ranks(int ranks, const std::string& arguments) {
  const std::string launcher =
      ranks == 1 ? "" : std::string(TESSERA_MPIEXEC) + " --oversubscribe -n " + std::to_string(ranks) + " ";
  return run_command("timeout -k 5 60 " + launcher + TESSERA_BIN + " " + arguments);
}

CommandResult tessera(const std::string& arguments) {
  return run_command("timeout -k 5 60 " + std::string(TESSERA_BIN) + " " + arguments);
}

CommandResult tessera_ckpt(const std::string& arguments) {
  return run_command("timeout -k 5 60 " + std::string(TESSERA_CKPT_BIN) + " " + arguments);
}

std::vector<std::string> column(const std::string& path, const std::string& key) {
  std::vector<std::string> values;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    const std::string mark = "\"" + key + "\":";
    const std::size_t start = line.find(mark);
    if (start != std::string::npos) {
      const std::size_t begin = start + mark.size();
      values.push_back(line.substr(begin, line.find_first_of(",}", begin) - begin));
    }
  }
  return values;
}

}  // namespace tessera::test

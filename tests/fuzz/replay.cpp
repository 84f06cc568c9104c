// Stands in for libFuzzer, which gcc lacks: gives a fuzzer its corpus, and files made of it by random damage that every
// run repeats. CI runs it for seconds; run.sh, which follows the program's branches, for as long as one likes.
//   fuzz_NAME CORPUS_DIRECTORY ROUNDS
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <span>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

std::vector<Bytes> read_corpus(const char* directory) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  std::vector<Bytes> corpus;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return corpus;
}

class Damage {
 public:
  /// One to four flipped bits, extreme numbers, cuts, repeated stretches or stretches of another file.
  Bytes operator()(Bytes bytes, const std::vector<Bytes>& corpus) {
    for (std::size_t left = 1 + below(4); left > 0 && !bytes.empty(); --left) {
      const std::size_t at = below(bytes.size());
      switch (below(5)) {
        case 0:
          bytes[at] ^= static_cast<std::uint8_t>(1U << below(8));
          break;
        case 1:
          write_extreme(bytes, at);
          break;
        case 2:
          bytes.resize(at);
          break;
        case 3:
          insert_stretch(bytes, at, Bytes(bytes));
          break;
        default:
          insert_stretch(bytes, at, corpus[below(corpus.size())]);
      }
    }
    return bytes;
  }

  std::size_t below(std::size_t end) { return std::uniform_int_distribution<std::size_t>(0, end - 1)(random_); }

 private:
  void write_extreme(Bytes& bytes, std::size_t at) {
    const std::size_t width = std::min(std::size_t{1} << below(4), bytes.size() - at);
    const std::uint8_t value = below(2) == 0 ? 0xFF : 0;
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), width, value);
    bytes[at + width - 1] ^= static_cast<std::uint8_t>(below(2) * 0x80);
  }

  void insert_stretch(Bytes& bytes, std::size_t at, const Bytes& source) {
    if (source.empty()) {
      return;
    }
    const std::size_t begin = below(source.size());
    const auto stretch = std::span(source).subspan(begin, std::min(1 + below(64), source.size() - begin));
    bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), stretch.begin(), stretch.end());
  }

  std::mt19937_64 random_{20260801};  // NOLINT(cert-msc51-cpp): the same files in every run
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s CORPUS_DIRECTORY ROUNDS\n", argv[0]);
    return EXIT_FAILURE;
  }
  const std::vector<Bytes> corpus = read_corpus(argv[1]);
  if (corpus.empty()) {
    std::fprintf(stderr, "%s: no files\n", argv[1]);
    return EXIT_FAILURE;
  }
  for (const Bytes& bytes : corpus) {
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  Damage damage;
  const long rounds = std::strtol(argv[2], nullptr, 10);
  for (long round = 0; round < rounds; ++round) {
    const Bytes bytes = damage(corpus[damage.below(corpus.size())], corpus);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%zu files, and %ld damaged ones\n", corpus.size(), rounds);
  return EXIT_SUCCESS;
}

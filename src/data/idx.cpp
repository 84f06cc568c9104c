#include "data/datasets.hpp"
#include "data/gzip_file.hpp"
#include "data/memory_dataset.hpp"
#include "tessera/core/error.hpp"

#include <algorithm>
#include <array>

// The format: two zero bytes, the element type, the number of dimensions, then each dimension as a big-endian 32-bit
// number, then the elements.

namespace tessera::data {

namespace {

namespace fs = std::filesystem;

constexpr std::uint8_t kUnsignedByte = 0x08;
constexpr std::int64_t kNumClasses = 10;

// Of Fashion-MNIST's training set, over all pixels; the three channels repeat the one.
constexpr Recipe kRecipe{.mean = {0.2860F, 0.2860F, 0.2860F}, .std = {0.3530F, 0.3530F, 0.3530F}};

/// The path of one of the four files: in the directory, or where torchvision keeps its downloads.
fs::path find_file(const fs::path& path, const std::string& name) {
  for (const char* folder : {".", "raw", "FashionMNIST/raw", "MNIST/raw"}) {
    for (const char* ending : {"", ".gz"}) {
      fs::path candidate = (path / folder / (name + ending)).lexically_normal();
      if (fs::is_regular_file(candidate)) {
        return candidate;
      }
    }
  }
  core::fail<core::UserError>("data",
                              "{} has neither {} nor {}.gz, nor have its sub-folders raw, FashionMNIST/raw and "
                              "MNIST/raw",
                              path.string(), name, name);
}

struct IdxArray {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> bytes;
};

IdxArray read_idx(const fs::path& path, std::size_t num_dims) {
  GzipFile file(path);
  std::array<std::uint8_t, 4> word{};
  file.read(word, "its header");
  core::require<core::UserError>(
      word[0] == 0 && word[1] == 0 && word[2] == kUnsignedByte && word[3] == num_dims, "data",
      "{} does not begin as an IDX file of bytes in {} dimensions: magic {:02x}{:02x}{:02x}{:02x}, "
      "expected 000008{:02x}",
      path.string(), num_dims, word[0], word[1], word[2], word[3], num_dims);
  IdxArray array;
  std::int64_t num_bytes = 1;
  for (std::size_t dim = 0; dim < num_dims; ++dim) {
    file.read(word, "its header");
    array.shape.push_back((std::int64_t{word[0]} << 24U) | (std::int64_t{word[1]} << 16U) |
                          (std::int64_t{word[2]} << 8U) | word[3]);
    constexpr std::int64_t kMostBytes = std::int64_t{1} << 40U;
    core::require<core::UserError>(array.shape.back() <= kMostBytes / std::max(num_bytes, std::int64_t{1}), "data",
                                   "{} is corrupt: its header speaks of more than {} bytes", path.string(), kMostBytes);
    num_bytes *= array.shape.back();
  }
  array.bytes = file.read(num_bytes, "elements");
  const std::int64_t extra = file.drain();
  core::require<core::UserError>(extra == 0, "data", "{} has {} bytes more than its header says", path.string(), extra);
  return array;
}

}  // namespace

std::unique_ptr<Dataset> open_idx(const fs::path& path, Split split) {
  const std::string part = split == Split::kTrain ? "train" : "t10k";
  const fs::path image_path = find_file(path, part + "-images-idx3-ubyte");
  const fs::path label_path = find_file(path, part + "-labels-idx1-ubyte");
  IdxArray pixels = read_idx(image_path, 3);
  IdxArray labels = read_idx(label_path, 1);
  core::require<core::UserError>(pixels.shape[0] == labels.shape[0], "data", "{} has {} images and {} has {} labels",
                                 image_path.string(), pixels.shape[0], label_path.string(), labels.shape[0]);
  constexpr std::int64_t kMostPixels = 1U << 14U;  // a side
  core::require<core::UserError>(
      pixels.shape[1] > 0 && pixels.shape[2] > 0 && pixels.shape[1] <= kMostPixels && pixels.shape[2] <= kMostPixels,
      "data", "{} holds images of {}x{} pixels", image_path.string(), pixels.shape[1], pixels.shape[2]);
  MemoryImages images{.source = image_path.string(),
                      .height = static_cast<std::int32_t>(pixels.shape[1]),
                      .width = static_cast<std::int32_t>(pixels.shape[2]),
                      .channels = 1,
                      .pixels = std::move(pixels.bytes),
                      .labels = std::move(labels.bytes),
                      .class_names = numbered_classes(kNumClasses),
                      .recipe = kRecipe};
  return std::make_unique<MemoryDataset>(std::move(images));
}

}  // namespace tessera::data

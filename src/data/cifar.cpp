#include "data/datasets.hpp"
#include "data/memory_dataset.hpp"
#include "data/tar_reader.hpp"
#include "tessera/core/error.hpp"

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>

// The format: https://www.cs.toronto.edu/~kriz/cifar.html, "binary version".

namespace tessera::data {

namespace {

namespace fs = std::filesystem;

constexpr std::int32_t kSide = 32;
constexpr std::int64_t kPixelBytes = 3 * kSide * kSide;

// The reference pipeline's figures, which it uses for both CIFARs. (Over the training set of CIFAR-100 the means are
// 0.5071, 0.4865 and 0.4409, and the deviations 0.2673, 0.2564 and 0.2762.)
constexpr Recipe kRecipe{.mean = {0.4914F, 0.4822F, 0.4465F}, .std = {0.2023F, 0.1994F, 0.2010F}};

using Files = std::map<std::string, std::vector<std::uint8_t>>;  // by name without folder

std::vector<std::string> wanted_files(const CifarLayout& layout, Split split) {
  return split == Split::kTrain ? layout.train_files : std::vector<std::string>{layout.test_file};
}

Files read_archive(const fs::path& archive, const std::vector<std::string>& wanted, const std::string& optional) {
  Files files;
  TarReader reader(archive);
  while (const auto entry = reader.next()) {
    const std::string name = fs::path(entry->name).filename().string();
    const bool is_wanted = name == optional || std::ranges::find(wanted, name) != wanted.end();
    if (entry->is_file && is_wanted) {
      files[name] = reader.read();
    }
  }
  for (const std::string& name : wanted) {
    core::require<core::UserError>(files.contains(name), "data",
                                   "{} holds no {}; is it the binary version of the data set that --dataset names?",
                                   archive.string(), name);
  }
  return files;
}

Files read_folder(const fs::path& folder, const std::vector<std::string>& wanted, const std::string& optional) {
  Files files;
  const auto read = [&](const std::string& name) {
    files[name] = GzipFile(folder / name).read(static_cast<std::int64_t>(fs::file_size(folder / name)), name.c_str());
  };
  for (const std::string& name : wanted) {
    core::require<core::UserError>(fs::is_regular_file(folder / name), "data", "{} has no {}; unpack the archive again",
                                   folder.string(), name);
    read(name);
  }
  if (fs::is_regular_file(folder / optional)) {
    read(optional);
  }
  return files;
}

/// Finds the archive or the unpacked files and reads what is wanted of them.
Files read_files(const CifarLayout& layout, const fs::path& path, const std::vector<std::string>& wanted) {
  if (fs::is_regular_file(path)) {
    return read_archive(path, wanted, layout.names_file);
  }
  for (const fs::path& folder : {path, path / layout.folder}) {
    if (fs::is_regular_file(folder / wanted.front())) {
      return read_folder(folder, wanted, layout.names_file);
    }
  }
  if (fs::is_regular_file(path / layout.archive)) {
    return read_archive(path / layout.archive, wanted, layout.names_file);
  }
  core::fail<core::UserError>("data", "{} has neither {} nor {} nor {}; --data_path wants the binary version",
                              path.string(), wanted.front(), (fs::path(layout.folder) / wanted.front()).string(),
                              layout.archive);
}

std::vector<std::string> class_names(const CifarLayout& layout, const Files& files) {
  const auto found = files.find(layout.names_file);
  if (found == files.end()) {
    return numbered_classes(layout.num_classes);
  }
  std::vector<std::string> names;
  std::istringstream lines(std::string(found->second.begin(), found->second.end()));
  for (std::string line; std::getline(lines, line);) {
    line.erase(std::ranges::remove(line, '\r').begin(), line.end());
    if (!line.empty()) {
      names.push_back(line);
    }
  }
  core::require<core::UserError>(std::cmp_equal(names.size(), layout.num_classes), "data",
                                 "{} names {} classes, expected {}", layout.names_file, names.size(),
                                 layout.num_classes);
  return names;
}

}  // namespace

CifarLayout cifar10_layout() {
  CifarLayout layout{.archive = "cifar-10-binary.tar.gz",
                     .folder = "cifar-10-batches-bin",
                     .train_files = {},
                     .test_file = "test_batch.bin",
                     .names_file = "batches.meta.txt",
                     .num_classes = 10,
                     .label_bytes = 1};
  for (int i = 1; i <= 5; ++i) {
    layout.train_files.push_back(fmt::format("data_batch_{}.bin", i));
  }
  return layout;
}

CifarLayout cifar100_layout() {
  return {.archive = "cifar-100-binary.tar.gz",
          .folder = "cifar-100-binary",
          .train_files = {"train.bin"},
          .test_file = "test.bin",
          .names_file = "fine_label_names.txt",
          .num_classes = 100,
          .label_bytes = 2};
}

std::unique_ptr<Dataset> open_cifar(const CifarLayout& layout, const fs::path& path, Split split) {
  const std::vector<std::string> wanted = wanted_files(layout, split);
  Files files = read_files(layout, path, wanted);
  MemoryImages images{.source = path.string(),
                      .height = kSide,
                      .width = kSide,
                      .channels = 3,
                      .pixels = {},
                      .labels = {},
                      .class_names = class_names(layout, files),
                      .recipe = kRecipe};

  const std::int64_t record_bytes = layout.label_bytes + kPixelBytes;
  for (const std::string& name : wanted) {
    const std::vector<std::uint8_t> bytes = std::move(files[name]);
    const auto found = static_cast<std::int64_t>(bytes.size());
    const std::int64_t expected = (found + record_bytes - 1) / record_bytes * record_bytes;
    core::require<core::UserError>(found == expected, "data",
                                   "{} in {} is truncated, or no such file: its records have {} bytes, so expected {} "
                                   "bytes, found {}",
                                   name, path.string(), record_bytes, expected, found);
    for (auto record = bytes.begin(); record != bytes.end(); record += record_bytes) {
      images.labels.push_back(record[layout.label_bytes - 1]);
      images.pixels.insert(images.pixels.end(), record + layout.label_bytes, record + record_bytes);
    }
  }
  return std::make_unique<MemoryDataset>(std::move(images));
}

}  // namespace tessera::data

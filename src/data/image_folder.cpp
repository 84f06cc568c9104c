#include "data/datasets.hpp"
#include "data/image_file.hpp"
#include "tessera/core/error.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

namespace tessera::data {

namespace {

namespace fs = std::filesystem;

// ImageNet's figures and preparation, as in the reference pipeline.
constexpr Recipe kRecipe{
    .mean = {0.485F, 0.456F, 0.406F}, .std = {0.229F, 0.224F, 0.225F}, .min_crop_area = 0.08, .eval_crop_share = 0.875};

/// What torchvision takes for an image by its name, and of these, what can be read here.
constexpr std::string_view kReadable[] = {".jpg", ".jpeg", ".png"};
constexpr std::string_view kOtherImages[] = {".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"};

template <std::size_t N>
bool has_ending(const fs::path& file, const std::string_view (&endings)[N]) {
  std::string ending = file.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return std::find(std::begin(endings), std::end(endings), ending) != std::end(endings);
}

/// Names of the folders in `root`, sorted.
std::vector<std::string> list_classes(const fs::path& root) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(root)) {
    if (entry.is_directory()) {
      names.push_back(entry.path().filename().string());
    }
  }
  std::ranges::sort(names);
  core::require<core::UserError>(!names.empty(), "data", "{} has no folders; expected one for each class",
                                 root.string());
  return names;
}

/// Image files below `folder`, as paths relative to `root`, in torchvision's order: by folder, then by name.
std::vector<std::string> list_images(const fs::path& root, const fs::path& folder) {
  std::vector<std::pair<std::string, std::string>> files;  // folder, name
  constexpr auto kOptions = fs::directory_options::follow_directory_symlink;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder, kOptions)) {
    core::require<core::UserError>(!has_ending(entry.path(), kOtherImages), "data",
                                   "{} is of a kind that is not read; convert it to JPEG or PNG, or remove it",
                                   entry.path().string());
    if (has_ending(entry.path(), kReadable) && !entry.is_directory()) {
      files.emplace_back(entry.path().parent_path().lexically_relative(root).string(),
                         entry.path().filename().string());
    }
  }
  core::require<core::UserError>(!files.empty(), "data", "{} holds no JPEG or PNG files; remove the folder or fill it",
                                 folder.string());
  std::ranges::sort(files);
  std::vector<std::string> names;
  names.reserve(files.size());
  for (const auto& [parent, name] : files) {
    names.push_back((fs::path(parent) / name).string());
  }
  return names;
}

/// The folder of a split, if it is there.
std::optional<fs::path> find_split(const fs::path& path, Split split) {
  if (split == Split::kTrain) {
    return fs::is_directory(path / "train") ? std::optional(path / "train") : std::nullopt;
  }
  for (const char* name : {"val", "test"}) {
    if (fs::is_directory(path / name)) {
      return path / name;
    }
  }
  return std::nullopt;
}

void require_same_classes(const fs::path& mine_root, const std::vector<std::string>& mine, const fs::path& other_root,
                          const std::vector<std::string>& other) {
  std::vector<std::string> lonely;
  std::ranges::set_symmetric_difference(mine, other, std::back_inserter(lonely));
  if (lonely.empty()) {
    return;
  }
  const bool is_mine = std::ranges::binary_search(mine, lonely.front());
  core::fail<core::UserError>("data", "{} and {} differ in {} classes; {} is in {} alone", mine_root.string(),
                              other_root.string(), lonely.size(), lonely.front(),
                              (is_mine ? mine_root : other_root).string());
}

constexpr char kEndOfWord = '\0';  // which no name of a file has

class ImageFolder final : public Dataset {
 public:
  // Of words: the root, and for each class its name, its number of files, and the files.
  explicit ImageFolder(const std::string& listing) {
    std::istringstream words(listing);
    std::string word;
    const auto next = [&] {
      core::require(std::getline(words, word, kEndOfWord) && !words.eof(), "data", "a list of files breaks off");
      return word;
    };
    root_ = next();
    while (std::getline(words, word, kEndOfWord)) {
      classes_.push_back(word);
      for (std::int64_t left = std::stoll(next()); left > 0; --left) {
        names_ += next();
        name_ends_.push_back(names_.size());
      }
      class_ends_.push_back(size());
    }
  }

  [[nodiscard]] std::int64_t size() const override { return static_cast<std::int64_t>(name_ends_.size()); }
  [[nodiscard]] const std::vector<std::string>& class_names() const override { return classes_; }
  [[nodiscard]] const Recipe& recipe() const override { return kRecipe; }

  [[nodiscard]] std::int64_t label(std::int64_t index) const override {
    return std::ranges::upper_bound(class_ends_, index) - class_ends_.begin();
  }

  [[nodiscard]] DecodedImage decode(std::int64_t index, std::vector<std::uint8_t>& scratch) const override {
    const std::string file = name(index);
    std::ifstream stream(file, std::ios::binary | std::ios::ate);
    std::vector<std::uint8_t> bytes(stream ? static_cast<std::size_t>(stream.tellg()) : 0);
    stream.seekg(0);
    stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    core::require(static_cast<bool>(stream), "data", "cannot read {}", file);
    return decode_image(bytes, file, scratch);
  }

  [[nodiscard]] std::string name(std::int64_t index) const override {
    const auto at = static_cast<std::size_t>(index);
    const std::size_t begin = at == 0 ? 0 : name_ends_[at - 1];
    return (root_ / names_.substr(begin, name_ends_[at] - begin)).string();
  }

 private:
  fs::path root_;
  std::vector<std::string> classes_;
  // A million file names, in one piece of memory instead of a million.
  std::string names_;
  std::vector<std::size_t> name_ends_;
  std::vector<std::int64_t> class_ends_;
};

}  // namespace

std::unique_ptr<Dataset> open_image_folder(const std::string& listing) {
  return std::make_unique<ImageFolder>(listing);
}

std::string list_image_folder(const fs::path& path, Split split) {
  const std::optional<fs::path> root = find_split(path, split);
  core::require<core::UserError>(root.has_value(), "data", "{} has no folder {}", path.string(),
                                 split == Split::kTrain ? "train" : "val, nor test");
  try {
    const std::vector<std::string> classes = list_classes(*root);
    const Split other_split = split == Split::kTrain ? Split::kTest : Split::kTrain;
    if (const std::optional<fs::path> other = find_split(path, other_split)) {
      require_same_classes(*root, classes, *other, list_classes(*other));
    }
    std::string listing = root->string() + kEndOfWord;
    for (const std::string& name : classes) {
      const std::vector<std::string> files = list_images(*root, *root / name);
      listing += name + kEndOfWord + std::to_string(files.size()) + kEndOfWord;
      for (const std::string& file : files) {
        listing += file + kEndOfWord;
      }
    }
    return listing;
  } catch (const fs::filesystem_error& error) {
    core::fail<core::UserError>("data", "cannot list {}: {}", path.string(), error.what());
  }
}

}  // namespace tessera::data

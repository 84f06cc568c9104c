#pragma once

#include "tessera/config/run_config.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tessera::data {

enum class Split { kTrain, kTest };

/// A decoded image. The bytes belong to the data set or to the scratch buffer that decode() was given.
struct DecodedImage {
  std::span<const std::uint8_t> bytes;
  std::int32_t height = 0;
  std::int32_t width = 0;
  std::int32_t channels = 3;  ///< 3, or 1 for grey
  bool planar = false;        ///< channel planes one after the other, else channels interleaved
};

/// How the images of a data set are prepared: the reference pipeline's figures for it.
struct Recipe {
  std::array<float, 3> mean{};  ///< in units of [0, 1]
  std::array<float, 3> std{};
  double min_crop_area = 0.2;    ///< of the image: RandomResizedCrop's scale is (this, 1)
  double eval_crop_share = 1.0;  ///< evaluation: shorter side resized to int(input_size / this), centre cut out
};

/// Labelled images. Every member function may be called from many threads at once.
class Dataset {
 public:
  Dataset() = default;
  Dataset(const Dataset&) = delete;
  Dataset& operator=(const Dataset&) = delete;
  virtual ~Dataset() = default;

  [[nodiscard]] virtual std::int64_t size() const = 0;
  /// One name a class: as the data set gives them, else "0", "1" and so on.
  [[nodiscard]] virtual const std::vector<std::string>& class_names() const = 0;
  [[nodiscard]] virtual const Recipe& recipe() const = 0;
  /// In [0, num_classes()).
  [[nodiscard]] virtual std::int64_t label(std::int64_t index) const = 0;
  /// Image `index` in [0, size()), valid until `scratch` is used again. Throws core::Error that names the file where
  /// it cannot be decoded.
  [[nodiscard]] virtual DecodedImage decode(std::int64_t index, std::vector<std::uint8_t>& scratch) const = 0;

  /// What messages call image `index`: its file, or its number.
  [[nodiscard]] virtual std::string name(std::int64_t index) const = 0;

  [[nodiscard]] std::int64_t num_classes() const { return static_cast<std::int64_t>(class_names().size()); }
};

struct DatasetSpec {
  config::DatasetKind kind = config::DatasetKind::kCifar10;
  std::string path;  ///< a directory, or for CIFAR the .tar.gz itself
  Split split = Split::kTrain;
  std::string listing{};  ///< of list_dataset() on another rank; empty: look into the directories
};

/// Of an image folder the names of its files, so that one rank walks through its directories for all; of other kinds
/// nothing. Throws UserError as open_dataset() does.
std::string list_dataset(const DatasetSpec& spec);

/// Opens one part of a data set, reading CIFAR and IDX files into memory whole.
///
/// CIFAR: the binary version, as the .tar.gz or unpacked, in `path` or its usual sub-folder. IDX: the four files of
/// MNIST and its kin, with .gz or without. ImageFolder: `path`/train and `path`/val (or test), a folder a class with
/// JPEG and PNG files, ordered as torchvision does. Throws core::UserError where anything is missing, truncated,
/// corrupt or out of range. (Image files of an ImageFolder are looked into only when they are decoded.)
std::unique_ptr<Dataset> open_dataset(const DatasetSpec& spec);

/// The same data set where each image has, with probability `share`, a label drawn uniformly from all classes, its own
/// among them (Zhang et al. 2017, "Understanding deep learning requires rethinking generalization"). Which images, and
/// what labels, is a function of seed and image alone.
std::unique_ptr<Dataset> with_random_labels(std::unique_ptr<Dataset> dataset, double share, std::uint64_t seed);

}  // namespace tessera::data

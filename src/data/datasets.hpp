#pragma once

#include "tessera/data/dataset.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

// The kinds of data set that open_dataset chooses from. Each throws core::UserError for whatever is wrong with its
// files.

namespace tessera::data {

/// The two CIFARs in their binary version: records of one or two label bytes and 3072 of pixels.
struct CifarLayout {
  std::string archive;  ///< the name under which the archive is published
  std::string folder;   ///< what it unpacks to
  std::vector<std::string> train_files;
  std::string test_file;
  std::string names_file;  ///< a line a class
  std::int64_t num_classes = 0;
  std::int64_t label_bytes = 1;  ///< per record; the last one is the label
};

CifarLayout cifar10_layout();
CifarLayout cifar100_layout();
std::unique_ptr<Dataset> open_cifar(const CifarLayout& layout, const std::filesystem::path& path, Split split);

/// MNIST, Fashion-MNIST and whatever else comes in four IDX files with ten classes.
std::unique_ptr<Dataset> open_idx(const std::filesystem::path& path, Split split);

/// The split's folder, its classes and their files, as text for open_image_folder().
std::string list_image_folder(const std::filesystem::path& path, Split split);
std::unique_ptr<Dataset> open_image_folder(const std::string& listing);

}  // namespace tessera::data

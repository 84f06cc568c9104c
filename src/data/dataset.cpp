#include "tessera/data/dataset.hpp"

#include "data/datasets.hpp"
#include "tessera/core/error.hpp"

#include <filesystem>

namespace tessera::data {

namespace {

void require_there(const DatasetSpec& spec) {
  std::error_code error;
  core::require<core::UserError>(std::filesystem::exists(spec.path, error), "data",
                                 "there is no {}; --data_path names the directory of the data set",
                                 spec.path.empty() ? "data path" : spec.path);
}

}  // namespace

std::string list_dataset(const DatasetSpec& spec) {
  require_there(spec);
  return spec.kind == config::DatasetKind::kImageFolder ? list_image_folder(spec.path, spec.split) : "";
}

std::unique_ptr<Dataset> open_dataset(const DatasetSpec& spec) {
  if (!spec.listing.empty()) {
    return open_image_folder(spec.listing);
  }
  const std::filesystem::path path(spec.path);
  require_there(spec);
  switch (spec.kind) {
    case config::DatasetKind::kCifar10:
      return open_cifar(cifar10_layout(), path, spec.split);
    case config::DatasetKind::kCifar100:
      return open_cifar(cifar100_layout(), path, spec.split);
    case config::DatasetKind::kFashionMnist:
      return open_idx(path, spec.split);
    case config::DatasetKind::kImageFolder:
      return open_image_folder(list_image_folder(path, spec.split));
  }
  core::fail("data", "unknown kind of data set {}", static_cast<int>(spec.kind));
}

}  // namespace tessera::data

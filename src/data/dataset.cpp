#include "tessera/data/dataset.hpp"

#include "data/datasets.hpp"
#include "tessera/core/error.hpp"

#include <filesystem>

namespace tessera::data {

std::unique_ptr<Dataset> open_dataset(const DatasetSpec& spec) {
  const std::filesystem::path path(spec.path);
  std::error_code error;
  core::require<core::UserError>(std::filesystem::exists(path, error), "data",
                                 "there is no {}; --data_path names the directory of the data set",
                                 spec.path.empty() ? "data path" : spec.path);
  switch (spec.kind) {
    case config::DatasetKind::kCifar10:
      return open_cifar(cifar10_layout(), path, spec.split);
    case config::DatasetKind::kCifar100:
      return open_cifar(cifar100_layout(), path, spec.split);
    case config::DatasetKind::kFashionMnist:
      return open_idx(path, spec.split);
    case config::DatasetKind::kImageFolder:
      return open_image_folder(path, spec.split);
  }
  core::fail("data", "unknown kind of data set {}", static_cast<int>(spec.kind));
}

}  // namespace tessera::data

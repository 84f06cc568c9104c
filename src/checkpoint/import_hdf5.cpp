#include "checkpoint/hdf5_data.hpp"
#include "checkpoint/import_source.hpp"
#include "tessera/core/error.hpp"

#include <array>
#include <functional>
#include <numeric>

namespace tessera::checkpoint {
namespace {

using core::UserError;

// The names of what lies at the root.
std::vector<std::string> names_at_root(hid_t file, const std::string& path) {
  H5G_info_t root{};
  h5::check(H5Gget_info(file, &root), "list", path);
  std::vector<std::string> names;
  for (hsize_t i = 0; i < root.nlinks; ++i) {
    std::array<char, 512> name{};
    h5::check(H5Lget_name_by_idx(file, ".", H5_INDEX_NAME, H5_ITER_INC, i, name.data(), name.size(), H5P_DEFAULT),
              "list", path);
    names.emplace_back(name.data());
  }
  return names;
}

std::optional<core::DType> type_of(const h5::DataSet& data_set) {
  const h5::Type type(H5Dget_type(data_set.get()));
  for (const core::DType dtype : {core::DType::kFloat32, core::DType::kBFloat16}) {
    if (H5Tequal(type.get(), h5::make_type(dtype).get()) > 0) {
      return dtype;
    }
  }
  return std::nullopt;
}

}  // namespace

// What `tessera-ckpt consolidate` writes: a data set per parameter at the root, contiguous, so that it is read from the
// mapped file.
void read_hdf5_weights(ImportSource::Contents& contents, const std::string& path) {
  contents.facts.kind = "the weights in " + path;
  const h5::QuietErrors quiet;
  const h5::File file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, h5::reading_access().get()));
  core::require<UserError>(static_cast<bool>(file), "checkpoint", "HDF5 cannot open {}: {}", path, h5::last_error());
  const std::span<const std::byte> bytes = contents.mapped_files.emplace_back(path).bytes();
  for (const std::string& name : names_at_root(file.get(), path)) {
    const h5::DataSet data_set(H5Dopen2(file.get(), name.c_str(), H5P_DEFAULT));
    core::require<UserError>(static_cast<bool>(data_set), "checkpoint",
                             "{}: /{} is no data set; weights are one data set a parameter, at the root", path, name);
    const auto dtype = type_of(data_set);
    const auto shape = h5::extents_of(data_set);
    const auto offset = h5::offset_of(data_set);
    core::require<UserError>(dtype && shape && offset, "checkpoint",
                             "{}: /{} is not a contiguous data set of fp32 or bf16 numbers", path, name);
    const auto count = std::accumulate(shape->begin(), shape->end(), std::int64_t{1}, std::multiplies<>());
    const std::size_t size = static_cast<std::size_t>(count) * core::size_of(*dtype);
    const auto begin = static_cast<std::size_t>(*offset);
    core::require<UserError>(begin <= bytes.size() && size <= bytes.size() - begin, "checkpoint",
                             "{}: /{} ends behind the end of the file, which was cut", path, name);
    contents.add(name, *shape, count).weight.push_back({0, count, *dtype, bytes.data() + begin});
  }
}

}  // namespace tessera::checkpoint

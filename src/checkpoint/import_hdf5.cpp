#include "checkpoint/child_process.hpp"
#include "checkpoint/hdf5_data.hpp"
#include "checkpoint/import_source.hpp"
#include "tessera/core/error.hpp"

#include <array>
#include <utility>

#include <nlohmann/json.hpp>

namespace tessera::checkpoint {
namespace {

using core::UserError;

// The names of what lies at the root. Links to elsewhere, other files say, are none of ours.
std::vector<std::string> names_at_root(hid_t file, const std::string& path) {
  H5G_info_t root{};
  core::require<UserError>(H5Gget_info(file, &root) >= 0, "checkpoint", "cannot list {}: {}", path, h5::last_error());
  std::vector<std::string> names;
  for (hsize_t i = 0; i < root.nlinks; ++i) {
    std::array<char, 512> name{};
    H5L_info_t link{};
    const auto length =
        H5Lget_name_by_idx(file, ".", H5_INDEX_NAME, H5_ITER_INC, i, name.data(), name.size(), H5P_DEFAULT);
    core::require<UserError>(length > 0 && std::cmp_less(length, name.size()) &&
                                 H5Lget_info(file, name.data(), &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_HARD,
                             "checkpoint", "{}: entry {} of the root is damaged, or a link to elsewhere", path, i);
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

// Name, type, offset in bytes and shape of every data set, as JSON: what HDF5 is needed for.
std::string list_data_sets(const std::string& path) {
  const h5::QuietErrors quiet;
  const h5::File file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, h5::reading_access().get()));
  core::require<UserError>(static_cast<bool>(file), "checkpoint", "HDF5 cannot open {}: {}", path, h5::last_error());
  auto list = nlohmann::json::array();
  for (const std::string& name : names_at_root(file.get(), path)) {
    const h5::DataSet data_set(H5Dopen2(file.get(), name.c_str(), H5P_DEFAULT));
    core::require<UserError>(static_cast<bool>(data_set), "checkpoint",
                             "{}: /{} is no data set; weights are one data set a parameter, at the root", path, name);
    const auto dtype = type_of(data_set);
    const auto shape = h5::extents_of(data_set);
    const auto offset = h5::offset_of(data_set);
    core::require<UserError>(dtype && shape && offset, "checkpoint",
                             "{}: /{} is not a contiguous data set of fp32 or bf16 numbers", path, name);
    list.push_back({name, *dtype, *offset, *shape});
  }
  return list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

// What `tessera-ckpt consolidate` writes: a data set per parameter at the root, contiguous, so that it is read from the
// mapped file. Nothing vouches for the structure of a file from outside, and HDF5 1.10 can be made to crash by it: that
// happens to a child.
void read_hdf5_weights(ImportSource::Contents& contents, const std::string& path) {
  contents.facts.kind = "the weights in " + path;
  const auto list = nlohmann::json::parse(run_in_child("HDF5, reading " + path, [&] { return list_data_sets(path); }));
  const std::span<const std::byte> bytes = contents.mapped_files.emplace_back(path).bytes();
  for (const auto& entry : list) {
    const auto name = entry.at(0).get<std::string>();
    const auto dtype = entry.at(1).get<core::DType>();
    const auto begin = entry.at(2).get<std::size_t>();
    const auto shape = entry.at(3).get<std::vector<std::int64_t>>();
    const std::size_t most = begin <= bytes.size() ? (bytes.size() - begin) / core::size_of(dtype) : 0;
    std::size_t count = 1;
    bool inside = most > 0;
    for (const std::int64_t extent : shape) {
      inside = inside && extent > 0 && count <= most / static_cast<std::size_t>(extent);
      count *= inside ? static_cast<std::size_t>(extent) : 0;
    }
    core::require<UserError>(inside, "checkpoint",
                             "{}: /{} is empty, or ends behind the end of the file, which was cut", path, name);
    const auto num_elements = static_cast<std::int64_t>(count);
    contents.add(name, shape, num_elements).weight.push_back({0, num_elements, dtype, bytes.data() + begin});
  }
}

}  // namespace tessera::checkpoint

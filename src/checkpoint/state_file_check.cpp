#include "checkpoint/limits.hpp"
#include "checkpoint/state_file.hpp"
#include "tessera/io/crc32c.hpp"
#include "tessera/io/random_access_file.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace tessera::checkpoint {
namespace {

using core::UserError;

// What the data set is, as far as it differs from what the manifest says; empty where it does not.
std::string find_difference(hid_t file, const StoredTensor& tensor) {
  const std::string name = "/parameters/" + tensor.name();
  const h5::DataSet data_set(H5Dopen2(file, name.c_str(), H5P_DEFAULT));
  if (!data_set) {
    return "is not there";
  }
  const h5::Type type(H5Dget_type(data_set.get()));
  if (H5Tequal(type.get(), h5::make_type(tensor.info.dtype).get()) <= 0) {
    return "is of another type";
  }
  constexpr int kMostDimensions = 32;  // H5S_MAX_RANK
  const h5::Space space(H5Dget_space(data_set.get()));
  const int num_dimensions = H5Sget_simple_extent_ndims(space.get());
  std::array<hsize_t, kMostDimensions> extents{};
  if (num_dimensions < 0 || H5Sget_simple_extent_dims(space.get(), extents.data(), nullptr) < 0 ||
      !std::equal(extents.begin(), extents.begin() + num_dimensions, tensor.info.shape.begin(), tensor.info.shape.end(),
                  [](hsize_t stored, std::int64_t expected) { return std::cmp_equal(stored, expected); })) {
    return "is of another shape";
  }
  const h5::Properties layout(H5Dget_create_plist(data_set.get()));
  if (H5Pget_layout(layout.get()) != H5D_CONTIGUOUS ||
      H5Dget_offset(data_set.get()) != static_cast<haddr_t>(tensor.offset)) {
    return "lies elsewhere";
  }
  return "";
}

}  // namespace

void check_state_file(const std::string& path, const std::vector<StoredTensor>& tensors) {
  const h5::QuietErrors quiet;
  const auto access = h5::own<h5::Properties>(H5Pcreate(H5P_FILE_ACCESS), "set up", "file access");
  // Whole checkpoints do not change, so that readers need no locks, which some file systems refuse.
  h5::check(H5Pset_file_locking(access.get(), /*use_file_locking=*/false, /*ignore_when_disabled=*/true),
            "set the locking of", "file access");
  const h5::File file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()));
  core::require<UserError>(static_cast<bool>(file), "checkpoint", "HDF5 cannot open {}: {}; use another checkpoint",
                           path, h5::last_error());
  for (const StoredTensor& tensor : tensors) {
    const std::string difference = find_difference(file.get(), tensor);
    core::require<UserError>(difference.empty(), "checkpoint",
                             "{}: the data set /parameters/{} {}, against what the manifest says; the files are not of "
                             "one checkpoint, use another",
                             path, tensor.name(), difference);
  }
}

std::uint32_t checksum_extents(const std::string& path,
                               const std::vector<std::pair<std::int64_t, std::int64_t>>& extents) {
  const io::RandomAccessFile file(path);
  std::vector<std::byte> buffer(std::size_t{1} << 20U);
  std::uint32_t crc = 0;
  for (const auto& [begin, end] : extents) {
    for (std::int64_t position = begin; position < end;) {
      const std::int64_t count = std::min(end - position, static_cast<std::int64_t>(buffer.size()));
      file.read(position, static_cast<std::size_t>(count), buffer.data());
      crc = io::crc32c(buffer.data(), static_cast<std::size_t>(count), crc);
      position += count;
    }
  }
  return crc;
}

}  // namespace tessera::checkpoint

#include "checkpoint/hdf5_data.hpp"
#include "checkpoint/limits.hpp"
#include "checkpoint/state_file.hpp"
#include "tessera/io/crc32c.hpp"
#include "tessera/io/random_access_file.hpp"

#include <algorithm>
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
  if (h5::extents_of(data_set) != tensor.info.shape) {
    return "is of another shape";
  }
  if (h5::offset_of(data_set) != tensor.offset) {
    return "lies elsewhere";
  }
  return "";
}

}  // namespace

void check_state_file(const std::string& path, const std::vector<StoredTensor>& tensors) {
  const h5::QuietErrors quiet;
  const h5::File file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, h5::reading_access().get()));
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

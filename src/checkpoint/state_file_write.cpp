#include "checkpoint/flat_range.hpp"
#include "checkpoint/state_file.hpp"
#include "tessera/core/units.hpp"

#include <mpi.h>

#include <cstddef>
#include <filesystem>

namespace tessera::checkpoint {
namespace {

using h5::check;
using h5::own;

// The default bounds would let the close rewrite the superblock in another version.
h5::Properties file_access(const topology::Group& group) {
  auto access = own<h5::Properties>(H5Pcreate(H5P_FILE_ACCESS), "set up", "file access");
  check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V18, H5F_LIBVER_V18), "set the format of", "file access");
  if (const void* const communicator = group.mpi_communicator()) {
    check(H5Pset_fapl_mpio(access.get(), *static_cast<const MPI_Comm*>(communicator), MPI_INFO_NULL), "set up",
          "MPI-IO");
  } else {
    check(H5Pset_file_locking(access.get(), /*use_file_locking=*/false, /*ignore_when_disabled=*/true),
          "set the locking of", "file access");
  }
  return access;
}

// Independent: ranks have different numbers of pieces, of different sizes, and need not wait for each other.
h5::Properties transfer(const topology::Group& group) {
  auto properties = own<h5::Properties>(H5Pcreate(H5P_DATASET_XFER), "set up", "the transfer");
  if (group.mpi_communicator() != nullptr) {
    check(H5Pset_dxpl_mpio(properties.get(), H5FD_MPIO_INDEPENDENT), "set up", "the transfer");
  }
  return properties;
}

// MPI-IO does not pass on why a write failed; most often the disk is full.
[[noreturn]] void fail_to_write(const std::string& where, const std::string& path) {
  const std::string reason = h5::last_error();
  std::error_code error;
  const auto space = std::filesystem::space(path, error);
  const std::string free =
      error ? "unknown space is" : core::format_bytes(static_cast<double>(space.available)) + " are";
  core::fail("checkpoint", "cannot write {}: {}; {} free on its file system", where, reason, free);
}

}  // namespace

StateFileWriter::StateFileWriter(const std::string& path, const std::vector<state::TensorInfo>& tensors,
                                 const topology::Group& group)
    : path_(path), tensors_(tensors) {
  file_ = own<h5::File>(H5Fopen(path.c_str(), H5F_ACC_RDWR, file_access(group).get()), "open", path);
  independent_ = transfer(group);
}

const h5::DataSet& StateFileWriter::open_tensor(std::size_t tensor) {
  if (!data_set_ || open_ != tensor) {
    const state::TensorInfo& info = tensors_[tensor];
    const std::string name = "/parameters/" + info.parameter + "/" + state::name_of(info.component);
    data_set_ = own<h5::DataSet>(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), "open the data set", name);
    open_ = tensor;
  }
  return data_set_;
}

void StateFileWriter::write(std::size_t tensor, std::int64_t begin, std::int64_t end, const void* data) {
  const state::TensorInfo& info = tensors_[tensor];
  const h5::DataSet& data_set = open_tensor(tensor);
  const std::string where = path_ + ", " + info.parameter + "/" + state::name_of(info.component);
  const h5::Type type = h5::make_type(info.dtype);
  const auto file_space = own<h5::Space>(H5Dget_space(data_set.get()), "read the shape of", where);
  const auto* next = static_cast<const std::byte*>(data);
  for (const Slab& slab : slabs_of_range(info.shape, begin, end)) {
    const std::vector<hsize_t> start(slab.start.begin(), slab.start.end());
    const std::vector<hsize_t> count(slab.count.begin(), slab.count.end());
    const auto num_elements = static_cast<hsize_t>(slab.num_elements());
    check(H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr),
          "select a part of", where);
    const auto memory = own<h5::Space>(H5Screate_simple(1, &num_elements, nullptr), "shape a part of", where);
    if (H5Dwrite(data_set.get(), type.get(), memory.get(), file_space.get(), independent_.get(), next) < 0) {
      fail_to_write(where, path_);
    }
    next += num_elements * core::size_of(info.dtype);
  }
}

void StateFileWriter::close() {
  data_set_.reset();
  check(H5Fclose(file_.release()), "close", path_);
}

}  // namespace tessera::checkpoint

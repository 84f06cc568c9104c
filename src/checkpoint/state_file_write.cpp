#include "checkpoint/hdf5_data.hpp"
#include "checkpoint/state_file.hpp"

#include <mpi.h>

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
  h5::write_range({data_set, info.dtype, info.shape, independent_.get(), where, path_}, begin, end, data);
}

void StateFileWriter::close() {
  data_set_.reset();
  check(H5Fclose(file_.release()), "close", path_);
}

}  // namespace tessera::checkpoint

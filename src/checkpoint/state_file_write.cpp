#include "checkpoint/hdf5_data.hpp"
#include "checkpoint/state_file.hpp"
#include "checkpoint/state_file_access.hpp"

namespace tessera::checkpoint {
namespace {

using h5::check;
using h5::own;

// The default bounds would let the close rewrite the superblock in another version.
h5::Properties file_access(const topology::Group& group) {
  auto access = own<h5::Properties>(H5Pcreate(H5P_FILE_ACCESS), "set up", "file access");
  check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V18, H5F_LIBVER_V18), "set the format of", "file access");
  share_access(access, group);
  return access;
}

}  // namespace

struct StateFileWriter::Open {
  h5::QuietErrors quiet;
  h5::File file;
  h5::Properties transfer;
  h5::DataSet data_set;  // of the tensor that was written last
  std::size_t tensor = 0;
};

StateFileWriter::StateFileWriter(const std::string& path, const std::vector<state::TensorInfo>& tensors,
                                 const topology::Group& group)
    : path_(path), tensors_(tensors), open_(std::make_unique<Open>()) {
  open_->file = own<h5::File>(H5Fopen(path.c_str(), H5F_ACC_RDWR, file_access(group).get()), "open", path);
  open_->transfer = own<h5::Properties>(H5Pcreate(H5P_DATASET_XFER), "set up", "the transfer");
  share_transfer(open_->transfer, group);
}

StateFileWriter::~StateFileWriter() = default;

void StateFileWriter::write(std::size_t tensor, std::int64_t begin, std::int64_t end, const void* data) {
  const state::TensorInfo& info = tensors_[tensor];
  const std::string name = info.parameter + "/" + state::name_of(info.component);
  if (!open_->data_set || open_->tensor != tensor) {
    open_->data_set = own<h5::DataSet>(H5Dopen2(open_->file.get(), ("/parameters/" + name).c_str(), H5P_DEFAULT),
                                       "open the data set", name);
    open_->tensor = tensor;
  }
  const h5::Target target{open_->data_set, info.dtype, info.shape, open_->transfer.get(), path_ + ", " + name, path_};
  h5::write_range(target, begin, end, data);
}

void StateFileWriter::close() {
  open_->data_set.reset();
  check(H5Fclose(open_->file.release()), "close", path_);
}

}  // namespace tessera::checkpoint

#include "checkpoint/export.hpp"
#include "checkpoint/hdf5_data.hpp"
#include "checkpoint/names.hpp"
#include "tessera/checkpoint/run_state_json.hpp"

#include <unistd.h>

namespace tessera::checkpoint {
namespace {

using h5::check;
using h5::own;

// One data set per parameter, at the root and under the parameter's name.
void write_file(Export& weights, const std::string& path) {
  const h5::QuietErrors quiet;
  const auto creation = own<h5::Properties>(H5Pcreate(H5P_FILE_CREATE), "set up", path);
  check(H5Pset_obj_track_times(creation.get(), false), "set the time stamps of", path);
  auto file =
      own<h5::File>(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), h5::serial_access().get()), "create", path);
  h5::write_text_attribute(file.get(), "format", "tessera-weights");
  for (const ExportTensor& tensor : weights.tensors()) {
    const h5::DataSet data_set = h5::make_data_set(file.get(), tensor.name(), tensor.dtype, tensor.shape());
    const h5::Target target{data_set, tensor.dtype, tensor.shape(), H5P_DEFAULT, path + ", " + tensor.name(), path};
    weights.for_each_piece(tensor, [&](std::int64_t begin, std::int64_t end, std::span<const std::byte> bytes) {
      weights.request().files.announce("write", path);
      h5::write_range(target, begin, end, bytes.data());
    });
  }
  check(H5Fflush(file.get(), H5F_SCOPE_LOCAL), "write", path);
  check(H5Fclose(file.release()), "close", path);
}

}  // namespace

std::int64_t export_hdf5(Export& weights, const std::string& path) {
  const io::FileSystem& files = weights.request().files;
  const std::string temporary = io::temporary_name(path);
  try {
    write_file(weights, temporary);
    files.sync_file(temporary);
    files.rename(temporary, path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  files.sync_directory(io::parent_directory(path));
  return file_bytes(path);
}

}  // namespace tessera::checkpoint

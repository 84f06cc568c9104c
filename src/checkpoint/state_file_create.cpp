#include "checkpoint/hdf5_data.hpp"
#include "checkpoint/limits.hpp"
#include "checkpoint/run_state_fields.hpp"
#include "checkpoint/state_file.hpp"

#include <type_traits>

namespace tessera::checkpoint {
namespace {

using h5::check;
using h5::own;

h5::Group make_group(hid_t parent, const std::string& name) {
  auto creation = own<h5::Properties>(H5Pcreate(H5P_GROUP_CREATE), "set up", name);
  check(H5Pset_obj_track_times(creation.get(), false), "set the time stamps of", name);
  return own<h5::Group>(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, creation.get(), H5P_DEFAULT), "make the group",
                        name);
}

void write_run(hid_t file, const state::RunState& run) {
  h5::write_text_attribute(file, "format", std::string(kFormatName));
  h5::write_number(file, "format_version", H5T_STD_I64LE, &kFormatVersion);
  const h5::Group group = make_group(file, "run");
  visit_run_state(run, [&](const char* name, const auto& field) {
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (std::is_same_v<Field, std::string>) {
      h5::write_text(group.get(), name, field);
    } else if constexpr (std::is_floating_point_v<Field>) {
      h5::write_number(group.get(), name, H5T_IEEE_F64LE, &field);
    } else if constexpr (std::is_unsigned_v<Field>) {
      h5::write_number(group.get(), name, H5T_STD_U64LE, &field);
    } else {
      const std::int64_t value = field;
      h5::write_number(group.get(), name, H5T_STD_I64LE, &value);
    }
  });
}

std::vector<std::int64_t> write_tensors(hid_t file, const std::vector<state::TensorInfo>& tensors) {
  const h5::Group root = make_group(file, "parameters");
  std::vector<std::int64_t> offsets;
  for (const state::TensorInfo& tensor : tensors) {
    const std::string& name = tensor.parameter;
    const bool exists = check(H5Lexists(root.get(), name.c_str(), H5P_DEFAULT), "look for", name) > 0;
    const h5::Group group =
        exists ? own<h5::Group>(H5Gopen2(root.get(), name.c_str(), H5P_DEFAULT), "open the group", name)
               : make_group(root.get(), name);
    const h5::DataSet data_set =
        h5::make_data_set(group.get(), state::name_of(tensor.component), tensor.dtype, tensor.shape);
    const haddr_t offset = H5Dget_offset(data_set.get());
    core::require(offset != HADDR_UNDEF, "checkpoint", "HDF5 gave {} no place in the file", name);
    offsets.push_back(static_cast<std::int64_t>(offset));
  }
  return offsets;
}

}  // namespace

void check_storable(core::DType dtype) { h5::make_type(dtype); }

std::vector<std::int64_t> create_state_file(const std::string& path, const std::vector<state::TensorInfo>& tensors,
                                            const state::RunState& run) {
  const h5::QuietErrors quiet;
  const auto creation = own<h5::Properties>(H5Pcreate(H5P_FILE_CREATE), "set up", path);
  check(H5Pset_obj_track_times(creation.get(), false), "set the time stamps of", path);
  auto file =
      own<h5::File>(H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation.get(), h5::serial_access().get()), "create", path);
  std::vector<std::int64_t> offsets = write_tensors(file.get(), tensors);
  write_run(file.get(), run);
  check(H5Fflush(file.get(), H5F_SCOPE_LOCAL), "write", path);
  check(H5Fclose(file.release()), "close", path);
  return offsets;
}

}  // namespace tessera::checkpoint

#include "checkpoint/limits.hpp"
#include "checkpoint/run_state_fields.hpp"
#include "checkpoint/state_file.hpp"

#include <algorithm>
#include <type_traits>

namespace tessera::checkpoint {
namespace {

using h5::check;
using h5::own;

// Tensors from this size on begin at a multiple of it: whole pages for the file system, at little cost in space.
constexpr hsize_t kAlignment = 4096;
constexpr hsize_t kMetadataBlock = hsize_t{256} << 10U;  // keeps the small pieces of structure together

h5::Properties file_access() {
  auto access = own<h5::Properties>(H5Pcreate(H5P_FILE_ACCESS), "set up", "file access");
  // Format of HDF5 1.8: readable by every tool in use, checksummed metadata, and no mark of an open file to be cleared.
  check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V18, H5F_LIBVER_V18), "set the format of", "file access");
  check(H5Pset_alignment(access.get(), kAlignment, kAlignment), "set the alignment of", "file access");
  check(H5Pset_meta_block_size(access.get(), kMetadataBlock), "set the block size of", "file access");
  // Nobody else can see the file yet, and locks are slow or missing on network file systems.
  check(H5Pset_file_locking(access.get(), /*use_file_locking=*/false, /*ignore_when_disabled=*/true),
        "set the locking of", "file access");
  return access;
}

h5::Properties data_set_layout() {
  auto layout = own<h5::Properties>(H5Pcreate(H5P_DATASET_CREATE), "set up", "the layout");
  check(H5Pset_layout(layout.get(), H5D_CONTIGUOUS), "set", "the layout");
  check(H5Pset_alloc_time(layout.get(), H5D_ALLOC_TIME_EARLY), "set", "the allocation time");
  check(H5Pset_fill_time(layout.get(), H5D_FILL_TIME_NEVER), "set", "the fill time");
  check(H5Pset_obj_track_times(layout.get(), false), "set", "the time stamps");
  return layout;
}

h5::Group make_group(hid_t parent, const std::string& name) {
  auto creation = own<h5::Properties>(H5Pcreate(H5P_GROUP_CREATE), "set up", name);
  check(H5Pset_obj_track_times(creation.get(), false), "set the time stamps of", name);
  return own<h5::Group>(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, creation.get(), H5P_DEFAULT), "make the group",
                        name);
}

h5::DataSet make_data_set(hid_t parent, const state::TensorInfo& tensor, const h5::Properties& layout) {
  const std::vector<hsize_t> extents(tensor.shape.begin(), tensor.shape.end());
  const std::string name = tensor.parameter + "/" + state::name_of(tensor.component);
  const auto space =
      own<h5::Space>(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), "shape", name);
  const h5::Type type = h5::make_type(tensor.dtype);
  return own<h5::DataSet>(H5Dcreate2(parent, state::name_of(tensor.component), type.get(), space.get(), H5P_DEFAULT,
                                     layout.get(), H5P_DEFAULT),
                          "make the data set", name);
}

void write_number(hid_t parent, const char* name, hid_t type, const void* value) {
  const auto space = own<h5::Space>(H5Screate(H5S_SCALAR), "shape", name);
  const auto attribute = own<h5::Attribute>(H5Acreate2(parent, name, type, space.get(), H5P_DEFAULT, H5P_DEFAULT),
                                            "make the attribute", name);
  check(H5Awrite(attribute.get(), type, value), "write the attribute", name);
}

h5::Type text_type(const std::string& text) {
  auto type = own<h5::Type>(H5Tcopy(H5T_C_S1), "make", "a text type");
  check(H5Tset_size(type.get(), std::max<std::size_t>(text.size(), 1)), "set the size of", "a text type");
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "set the encoding of", "a text type");
  check(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), "set the padding of", "a text type");
  return type;
}

void write_text_attribute(hid_t parent, const char* name, const std::string& text) {
  write_number(parent, name, text_type(text).get(), text.c_str());
}

// Of fixed length: texts of variable length cannot be written in parallel, and attributes end at 64 KiB.
void write_text(hid_t parent, const char* name, const std::string& text, const h5::Properties& layout) {
  const h5::Type type = text_type(text);
  const auto space = own<h5::Space>(H5Screate(H5S_SCALAR), "shape", name);
  const auto data_set = own<h5::DataSet>(
      H5Dcreate2(parent, name, type.get(), space.get(), H5P_DEFAULT, layout.get(), H5P_DEFAULT), "make", name);
  check(H5Dwrite(data_set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, text.c_str()), "write", name);
}

void write_run(hid_t file, const state::RunState& run, const h5::Properties& layout) {
  write_text_attribute(file, "format", std::string(kFormatName));
  write_number(file, "format_version", H5T_STD_I64LE, &kFormatVersion);
  const h5::Group group = make_group(file, "run");
  visit_run_state(run, [&](const char* name, const auto& field) {
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (std::is_same_v<Field, std::string>) {
      write_text(group.get(), name, field, layout);
    } else if constexpr (std::is_floating_point_v<Field>) {
      write_number(group.get(), name, H5T_IEEE_F64LE, &field);
    } else if constexpr (std::is_unsigned_v<Field>) {
      write_number(group.get(), name, H5T_STD_U64LE, &field);
    } else {
      const std::int64_t value = field;
      write_number(group.get(), name, H5T_STD_I64LE, &value);
    }
  });
}

std::vector<std::int64_t> write_tensors(hid_t file, const std::vector<state::TensorInfo>& tensors,
                                        const h5::Properties& layout) {
  const h5::Group root = make_group(file, "parameters");
  h5::Group group;
  std::vector<std::int64_t> offsets;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::string& name = tensors[i].parameter;
    const bool exists = check(H5Lexists(root.get(), name.c_str(), H5P_DEFAULT), "look for", name) > 0;
    group = exists ? own<h5::Group>(H5Gopen2(root.get(), name.c_str(), H5P_DEFAULT), "open the group", name)
                   : make_group(root.get(), name);
    const h5::DataSet data_set = make_data_set(group.get(), tensors[i], layout);
    const haddr_t offset = H5Dget_offset(data_set.get());
    core::require(offset != HADDR_UNDEF, "checkpoint", "HDF5 gave {} no place in the file", name);
    offsets.push_back(static_cast<std::int64_t>(offset));
  }
  return offsets;
}

}  // namespace

std::vector<std::int64_t> create_state_file(const std::string& path, const std::vector<state::TensorInfo>& tensors,
                                            const state::RunState& run) {
  const h5::QuietErrors quiet;
  const auto creation = own<h5::Properties>(H5Pcreate(H5P_FILE_CREATE), "set up", path);
  check(H5Pset_obj_track_times(creation.get(), false), "set the time stamps of", path);
  auto file = own<h5::File>(H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation.get(), file_access().get()), "create", path);
  const h5::Properties layout = data_set_layout();
  std::vector<std::int64_t> offsets = write_tensors(file.get(), tensors, layout);
  write_run(file.get(), run, layout);
  check(H5Fflush(file.get(), H5F_SCOPE_LOCAL), "write", path);
  check(H5Fclose(file.release()), "close", path);
  return offsets;
}

}  // namespace tessera::checkpoint

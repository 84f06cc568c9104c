#include "checkpoint/hdf5_data.hpp"

#include "checkpoint/flat_range.hpp"
#include "tessera/core/units.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>

namespace tessera::checkpoint::h5 {
namespace {

// Tensors from this size on begin at a multiple of it: whole pages for the file system, at little cost in space.
constexpr hsize_t kAlignment = 4096;
constexpr hsize_t kMetadataBlock = hsize_t{256} << 10U;  // keeps the small pieces of structure together

// The library does not always pass on why a write failed; most often the disk is full.
[[noreturn]] void fail_to_write(const Target& target) {
  const std::string reason = last_error();
  std::error_code error;
  const auto space = std::filesystem::space(target.file, error);
  const std::string free =
      error ? "it is not known how much is" : core::format_bytes(static_cast<double>(space.available));
  core::fail("checkpoint", "cannot write {}: {}; {} free on its file system", target.where, reason, free);
}

Type text_type(const std::string& text) {
  auto type = own<Type>(H5Tcopy(H5T_C_S1), "make", "a text type");
  check(H5Tset_size(type.get(), std::max<std::size_t>(text.size(), 1)), "set the size of", "a text type");
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "set the encoding of", "a text type");
  check(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), "set the padding of", "a text type");
  return type;
}

}  // namespace

void do_not_lock(const Properties& access) {
  check(H5Pset_file_locking(access.get(), /*use_file_locking=*/false, /*ignore_when_disabled=*/true),
        "set the locking of", "file access");
}

Properties serial_access() {
  auto access = own<Properties>(H5Pcreate(H5P_FILE_ACCESS), "set up", "file access");
  // Readable by every tool in use, with checksummed metadata, and no mark of an open file to be cleared after a crash.
  check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V18, H5F_LIBVER_V18), "set the format of", "file access");
  check(H5Pset_alignment(access.get(), kAlignment, kAlignment), "set the alignment of", "file access");
  check(H5Pset_meta_block_size(access.get(), kMetadataBlock), "set the block size of", "file access");
  do_not_lock(access);
  return access;
}

Properties data_set_layout() {
  auto layout = own<Properties>(H5Pcreate(H5P_DATASET_CREATE), "set up", "the layout");
  check(H5Pset_layout(layout.get(), H5D_CONTIGUOUS), "set", "the layout");
  check(H5Pset_alloc_time(layout.get(), H5D_ALLOC_TIME_EARLY), "set", "the allocation time");
  check(H5Pset_fill_time(layout.get(), H5D_FILL_TIME_NEVER), "set", "the fill time");
  check(H5Pset_obj_track_times(layout.get(), false), "set", "the time stamps");
  return layout;
}

Properties reading_access() {
  auto access = own<Properties>(H5Pcreate(H5P_FILE_ACCESS), "set up", "file access");
  do_not_lock(access);
  return access;
}

std::optional<std::vector<std::int64_t>> extents_of(const DataSet& data_set) {
  const Space space(H5Dget_space(data_set.get()));
  std::array<hsize_t, H5S_MAX_RANK> extents{};
  const int num_dimensions = H5Sget_simple_extent_ndims(space.get());
  if (num_dimensions < 0 || H5Sget_simple_extent_dims(space.get(), extents.data(), nullptr) < 0) {
    return std::nullopt;
  }
  return std::vector<std::int64_t>(extents.begin(), extents.begin() + num_dimensions);
}

std::optional<std::int64_t> offset_of(const DataSet& data_set) {
  const Properties layout(H5Dget_create_plist(data_set.get()));
  const haddr_t offset = H5Dget_offset(data_set.get());
  if (H5Pget_layout(layout.get()) != H5D_CONTIGUOUS || offset == HADDR_UNDEF) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(offset);
}

DataSet make_data_set(hid_t parent, const std::string& name, core::DType dtype,
                      const std::vector<std::int64_t>& shape) {
  const std::vector<hsize_t> extents(shape.begin(), shape.end());
  const auto space =
      own<Space>(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), "shape", name);
  return own<DataSet>(H5Dcreate2(parent, name.c_str(), make_type(dtype).get(), space.get(), H5P_DEFAULT,
                                 data_set_layout().get(), H5P_DEFAULT),
                      "make the data set", name);
}

void write_range(const Target& target, std::int64_t begin, std::int64_t end, const void* data) {
  const Type type = make_type(target.dtype);
  const auto file_space = own<Space>(H5Dget_space(target.data_set.get()), "read the shape of", target.where);
  const auto* next = static_cast<const std::byte*>(data);
  for (const Slab& slab : slabs_of_range(target.shape, begin, end)) {
    const std::vector<hsize_t> start(slab.start.begin(), slab.start.end());
    const std::vector<hsize_t> count(slab.count.begin(), slab.count.end());
    const auto num_elements = static_cast<hsize_t>(slab.num_elements());
    check(H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr),
          "select a part of", target.where);
    const auto memory = own<Space>(H5Screate_simple(1, &num_elements, nullptr), "shape a part of", target.where);
    if (H5Dwrite(target.data_set.get(), type.get(), memory.get(), file_space.get(), target.transfer, next) < 0) {
      fail_to_write(target);
    }
    next += num_elements * core::size_of(target.dtype);
  }
}

void write_number(hid_t parent, const char* name, hid_t type, const void* value) {
  const auto space = own<Space>(H5Screate(H5S_SCALAR), "shape", name);
  const auto attribute =
      own<Attribute>(H5Acreate2(parent, name, type, space.get(), H5P_DEFAULT, H5P_DEFAULT), "make the attribute", name);
  check(H5Awrite(attribute.get(), type, value), "write the attribute", name);
}

void write_text_attribute(hid_t parent, const char* name, const std::string& text) {
  write_number(parent, name, text_type(text).get(), text.c_str());
}

void write_text(hid_t parent, const char* name, const std::string& text) {
  const Type type = text_type(text);
  const auto space = own<Space>(H5Screate(H5S_SCALAR), "shape", name);
  const auto data_set =
      own<DataSet>(H5Dcreate2(parent, name, type.get(), space.get(), H5P_DEFAULT, data_set_layout().get(), H5P_DEFAULT),
                   "make", name);
  check(H5Dwrite(data_set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, text.c_str()), "write", name);
}

}  // namespace tessera::checkpoint::h5

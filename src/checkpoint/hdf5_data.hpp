#pragma once

#include "checkpoint/hdf5.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tessera::checkpoint::h5 {

/// A data set of a tensor: contiguous, so that it has one place in the file, which is taken when it is made; without
/// fill value or time stamps, so that the same state gives the same bytes.
Properties data_set_layout();

/// Files that nobody else sees yet, or that do not change: locks are slow or missing on network file systems.
void do_not_lock(const Properties& access);

/// File access for writing by one process: the format of HDF5 1.8, large data sets at whole pages, no locks.
Properties serial_access();

/// File access for reading files that do not change.
Properties reading_access();

/// The extents of a data set; none where they cannot be told.
std::optional<std::vector<std::int64_t>> extents_of(const DataSet& data_set);

/// Where the elements of a contiguous data set begin in its file, in bytes; none where it has another layout or no
/// place.
std::optional<std::int64_t> offset_of(const DataSet& data_set);

DataSet make_data_set(hid_t parent, const std::string& name, core::DType dtype, const std::vector<std::int64_t>& shape);

struct Target {
  const DataSet& data_set;
  core::DType dtype;
  const std::vector<std::int64_t>& shape;
  hid_t transfer = H5P_DEFAULT;
  std::string where;  ///< for messages
  std::string file;   ///< its path
};

/// Writes elements [begin, end), row-major, from host memory in the stored type: at most 2N - 1 transfers, none of
/// which may have 2 GiB or more. Throws Error with HDF5's reason and the free space.
void write_range(const Target& target, std::int64_t begin, std::int64_t end, const void* data);

/// An attribute with one number; `type` is both that of the file and of `value`.
void write_number(hid_t parent, const char* name, hid_t type, const void* value);
/// An attribute with a short text of fixed length.
void write_text_attribute(hid_t parent, const char* name, const std::string& text);
/// A scalar data set with a text of fixed length: texts of variable length cannot be written in parallel, and
/// attributes end at 64 KiB.
void write_text(hid_t parent, const char* name, const std::string& text);

}  // namespace tessera::checkpoint::h5

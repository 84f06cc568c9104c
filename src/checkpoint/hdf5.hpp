#pragma once

#include "tessera/core/dtype.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/handle.hpp"

#include <hdf5.h>

#include <string>
#include <string_view>
#include <utility>

namespace tessera::checkpoint::h5 {

inline void close_attribute(hid_t id) noexcept { H5Aclose(id); }
inline void close_data_set(hid_t id) noexcept { H5Dclose(id); }
inline void close_file(hid_t id) noexcept { H5Fclose(id); }
inline void close_group(hid_t id) noexcept { H5Gclose(id); }
inline void close_properties(hid_t id) noexcept { H5Pclose(id); }
inline void close_space(hid_t id) noexcept { H5Sclose(id); }
inline void close_type(hid_t id) noexcept { H5Tclose(id); }

// -1 is H5I_INVALID_HID, which is a macro with a cast that a template argument cannot take.
using Attribute = core::Handle<hid_t, close_attribute, -1>;
using DataSet = core::Handle<hid_t, close_data_set, -1>;
using File = core::Handle<hid_t, close_file, -1>;
using Group = core::Handle<hid_t, close_group, -1>;
using Properties = core::Handle<hid_t, close_properties, -1>;
using Space = core::Handle<hid_t, close_space, -1>;
using Type = core::Handle<hid_t, close_type, -1>;

/// The most specific messages of HDF5's error stack, on one line.
std::string last_error();

/// Throws Error with HDF5's own reason where `status` is negative. `what` completes "cannot ...".
template <class Status>
Status check(Status status, std::string_view what, const std::string& where) {
  if (status < 0) {
    core::fail("checkpoint", "cannot {} {}: {}", what, where, last_error());
  }
  return status;
}

/// The id in its owner, or Error.
template <class Owner>
Owner own(hid_t id, std::string_view what, const std::string& where) {
  return Owner(check(id, what, where));
}

/// While one lives HDF5 prints nothing of its own: what fails is thrown, with its reason.
class QuietErrors {
 public:
  QuietErrors();
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;
  QuietErrors(QuietErrors&&) = delete;
  QuietErrors& operator=(QuietErrors&&) = delete;
  ~QuietErrors();

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

/// The little-endian type of a data set, which is also that of the memory it is written from: no conversion. bf16 is
/// not predefined before HDF5 2; built from its fields it is a number to every reader.
Type make_type(core::DType dtype);

}  // namespace tessera::checkpoint::h5

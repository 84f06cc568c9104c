#include "checkpoint/hdf5.hpp"

#include "tessera/checkpoint/save.hpp"

#include <dlfcn.h>

#include <bit>

namespace tessera::checkpoint::h5 {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian and are written without conversion");

constexpr unsigned kMostMessages = 3;

// Every handle here closes itself, so there is nothing to do at exit; and after a damaged file, which HDF5 could open
// only in part, its own work at exit ends in a message that nobody can use. Before the library's first call.
const herr_t kNothingAtExit = H5dont_atexit();  // NOLINT(bugprone-throwing-static-initialization): C throws nothing

// Of a failed system call HDF5 tells the time, a pointer and more, on two lines: the system's reason alone.
std::string without_details(std::string_view text) {
  constexpr std::string_view kReason = "error message = '";
  const std::size_t details = text.find(": time = ");
  const std::size_t reason = text.find(kReason);
  if (details == std::string_view::npos || reason == std::string_view::npos) {
    return std::string(text);
  }
  const std::string_view rest = text.substr(reason + kReason.size());
  return fmt::format("{}: {}", text.substr(0, details), rest.substr(0, rest.find('\'')));
}

herr_t collect(unsigned depth, const H5E_error2_t* error, void* text) {
  auto& joined = *static_cast<std::string*>(text);
  const bool says_more =
      error->desc != nullptr && *error->desc != '\0' && joined.find(error->desc) == std::string::npos;
  if (depth < kMostMessages && says_more) {
    joined += (joined.empty() ? "" : "; ") + without_details(error->desc);
  }
  return 0;
}

Type make_bfloat16() {
  const std::string where = "the bfloat16 type";
  auto type = own<Type>(H5Tcopy(H5T_IEEE_F32LE), "make", where);
  // The fields must fit at every step, so the size shrinks after them.
  check(H5Tset_fields(type.get(), 15, 7, 8, 0, 7), "set the fields of", where);
  check(H5Tset_precision(type.get(), 16), "set the precision of", where);
  check(H5Tset_size(type.get(), 2), "set the size of", where);
  check(H5Tset_ebias(type.get(), 127), "set the bias of", where);
  return type;
}

}  // namespace

std::string last_error() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect, &text);
  return text.empty() ? "HDF5 gives no reason" : text;
}

QuietErrors::QuietErrors() {
  H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

QuietErrors::~QuietErrors() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }

Type make_type(core::DType dtype) {
  switch (dtype) {
    case core::DType::kFloat32:
      return own<Type>(H5Tcopy(H5T_IEEE_F32LE), "make", "the fp32 type");
    case core::DType::kBFloat16:
      return make_bfloat16();
    case core::DType::kFloat16:
      break;
  }
  core::fail("checkpoint", "checkpoints hold fp32 and bf16, not {}", core::name_of(dtype));
}

}  // namespace tessera::checkpoint::h5

namespace tessera::checkpoint {

std::string hdf5_version() {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned release = 0;
  h5::check(H5get_libversion(&major, &minor, &release), "ask for", "the version of HDF5");
  return fmt::format("{}.{}.{}", major, minor, release);
}

std::string compiled_hdf5_version() { return fmt::format("{}.{}.{}", H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE); }

// The libraries have one name, and functions are looked up when they are first called: a serial one would be found out
// at the first checkpoint.
bool hdf5_is_parallel() { return dlsym(RTLD_DEFAULT, "H5Pset_fapl_mpio") != nullptr; }

}  // namespace tessera::checkpoint

// Any bytes as a consolidated .h5: refused with a UserError, or read without touching a byte outside the file. (A
// state.h5 is not given to HDF5 before its checksums agree.)
#include "fuzz/scratch_file.hpp"
#include "tessera/checkpoint/import.hpp"
#include "tessera/core/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  static const fuzz::ScratchDirectory scratch;
  const std::string path = scratch.write("fuzz.h5", {reinterpret_cast<const char*>(data), size});
  try {
    const checkpoint::ImportSource source(path, {});
    fuzz::read_everything(source);
  } catch (const core::UserError&) {
    // refused, as it should be
  }
  return 0;
}

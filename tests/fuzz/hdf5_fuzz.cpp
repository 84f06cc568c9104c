// Any bytes as a consolidated .h5, and as a state.h5 whose manifest is right: refused with a UserError, or read without
// touching a byte outside the file.
#include "checkpoint/state_file.hpp"
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
  const state::TensorInfo tensor{"classifier.bias", state::Component::kWeight, core::DType::kBFloat16, {10}};
  try {
    checkpoint::check_state_file(path, {{tensor, 4096, {{0, 10, 0}}}});
  } catch (const core::UserError&) {
    return 0;
  }
  return 0;
}

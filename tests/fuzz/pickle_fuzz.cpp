// Any bytes as a pickle that may name everything: refused with a UserError, or read.
#include "tessera/core/error.hpp"
#include "tessera/io/pickle.hpp"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  try {
    const io::Pickle pickle(
        std::as_bytes(std::span(data, size)), [](std::string_view) { return true; }, "fuzz.pkl");
    (void)pickle.value().find("model");
  } catch (const core::UserError&) {
    return 0;
  }
  return 0;
}

// Any text as a manifest.json, with its checksum made right first: the fuzzer would not get past that.
#include "checkpoint/manifest.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/crc32c.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  constexpr std::size_t kDigits = 21;  // after {"manifest_crc32c": "
  std::string text(reinterpret_cast<const char*>(data), size);
  if (text.size() > kDigits + 8) {
    text.replace(kDigits, 8, "00000000");
    text.replace(kDigits, 8, io::crc32c_text(io::crc32c(text.data(), text.size())));
  }
  try {
    const checkpoint::Manifest manifest = checkpoint::parse_manifest(text, "manifest.json");
    (void)checkpoint::structure_extents(manifest.tensors, manifest.state_bytes, "state.h5");
  } catch (const core::UserError&) {
    return 0;
  }
  return 0;
}

// Any bytes as a .safetensors file: refused with a UserError, or read without touching a byte outside the file.
#include "tessera/core/error.hpp"
#include "tessera/io/safetensors.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  try {
    const auto contents = io::parse_safetensors(std::as_bytes(std::span(data, size)), "fuzz.safetensors");
    for (const io::SafetensorsTensor& tensor : contents.tensors) {
      if (tensor.element_type()) {
        std::vector<float> values(static_cast<std::size_t>(tensor.num_elements));
        io::read_elements(tensor, 0, tensor.num_elements, core::DType::kFloat32, values.data());
      }
    }
  } catch (const core::UserError&) {
    return 0;
  }
  return 0;
}

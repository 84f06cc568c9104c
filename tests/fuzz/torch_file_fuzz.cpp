// Any bytes as a file of torch.save: refused with a UserError, or read without touching a byte outside the file.
#include "tessera/core/error.hpp"
#include "tessera/io/torch_file.hpp"

#include <cstddef>
#include <cstdint>
#include <unordered_set>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  try {
    const io::TorchArchive archive(std::as_bytes(std::span(data, size)), "fuzz.pth");
    std::vector<const io::PickleValue*> waiting{&archive.root()};
    std::unordered_set<const io::PickleValue*> seen;
    while (!waiting.empty()) {
      const io::PickleValue* const value = waiting.back();
      waiting.pop_back();
      if (value == nullptr || !seen.insert(value).second) {
        continue;
      }
      waiting.insert(waiting.end(), value->items.begin(), value->items.end());
      waiting.push_back(value->target);
      waiting.push_back(value->attributes);
      try {
        const io::TorchTensor tensor = archive.tensor(*value, "t");
        (void)io::zip_crc32(tensor.bytes);
      } catch (const core::UserError&) {
        continue;
      }
    }
    archive.verify([](std::int64_t) {});
  } catch (const core::UserError&) {
    return 0;
  }
  return 0;
}

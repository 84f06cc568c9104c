#include "tessera/io/safetensors_writer.hpp"

#include "io/safetensors_format.hpp"
#include "tessera/core/error.hpp"

#include <nlohmann/json.hpp>

#include <cstring>
#include <utility>

namespace tessera::io {
namespace {

const char* format_name(core::DType dtype) {
  switch (dtype) {
    case core::DType::kFloat32:
      return "F32";
    case core::DType::kBFloat16:
      return "BF16";
    case core::DType::kFloat16:
      return "F16";
  }
  return "?";
}

struct Header {
  std::string bytes;  // length and JSON, padded so that the data begin at a multiple of 8
  std::int64_t data_bytes = 0;
};

Header make_header(const std::vector<SafetensorsSpec>& tensors, const std::map<std::string, std::string>& metadata) {
  Header header;
  nlohmann::ordered_json entries = nlohmann::ordered_json::object();
  if (!metadata.empty()) {
    entries["__metadata__"] = metadata;
  }
  for (const SafetensorsSpec& tensor : tensors) {
    core::require(!entries.contains(tensor.name), "io", "tensor '{}' is to be written twice", tensor.name);
    std::int64_t num_elements = 1;
    for (const std::int64_t extent : tensor.shape) {
      num_elements *= extent;
    }
    const std::int64_t begin = header.data_bytes;
    header.data_bytes += num_elements * static_cast<std::int64_t>(core::size_of(tensor.dtype));
    entries[tensor.name] = {
        {"dtype", format_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {begin, header.data_bytes}}};
  }
  std::string text = entries.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  core::require(text.size() <= kSafetensorsMaxHeader, "io", "{} tensors need a header of {} bytes, {} are allowed",
                tensors.size(), text.size(), kSafetensorsMaxHeader);
  const std::uint64_t length = text.size();
  header.bytes.resize(kSafetensorsPrefix);
  std::memcpy(header.bytes.data(), &length, sizeof(length));
  header.bytes += text;
  return header;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::string path, const std::vector<SafetensorsSpec>& tensors,
                                     const std::map<std::string, std::string>& metadata, FileSystem files)
    : file_(std::move(path), std::move(files)) {
  const Header header = make_header(tensors, metadata);
  file_bytes_ = static_cast<std::int64_t>(header.bytes.size()) + header.data_bytes;
  file_.reserve(file_bytes_);
  file_.append(header.bytes.data(), header.bytes.size());
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  core::require(file_.size() + static_cast<std::int64_t>(bytes.size()) <= file_bytes_, "io",
                "more bytes were given than the tensors of {} have", file_.path());
  file_.append(bytes.data(), bytes.size());
}

void SafetensorsWriter::finish() {
  core::require(file_.size() == file_bytes_, "io", "{} has {} bytes, but {} were written", file_.path(), file_bytes_,
                file_.size());
  file_.commit();
}

}  // namespace tessera::io

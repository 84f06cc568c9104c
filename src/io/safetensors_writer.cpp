#include "tessera/io/safetensors_writer.hpp"

#include "io/posix.hpp"
#include "io/safetensors_format.hpp"

#include <fcntl.h>

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

struct SafetensorsWriter::State {
  std::string path;
  std::string temporary;
  FileSystem files;
  FileDescriptor file;
  std::int64_t file_bytes = 0;
  std::int64_t written_bytes = 0;
  bool finished = false;

  void put(const void* data, std::size_t size) {
    files.announce("write", temporary);
    write_all(file.get(), data, size, temporary);
    written_bytes += static_cast<std::int64_t>(size);
  }
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  State(State&&) = delete;
  State& operator=(State&&) = delete;
  ~State() {
    if (file && !finished) {
      ::unlink(temporary.c_str());
    }
  }
};

SafetensorsWriter::SafetensorsWriter(std::string path, const std::vector<SafetensorsSpec>& tensors,
                                     const std::map<std::string, std::string>& metadata, FileSystem files)
    : state_(std::make_unique<State>()) {
  const Header header = make_header(tensors, metadata);
  state_->temporary = temporary_name(path);
  state_->path = std::move(path);
  state_->files = std::move(files);
  state_->file_bytes = static_cast<std::int64_t>(header.bytes.size()) + header.data_bytes;
  constexpr mode_t kMode = 0666;
  state_->file = FileDescriptor(retry_interrupted(
      [&] { return ::open(state_->temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kMode); }));
  if (!state_->file) {
    fail_errno<core::Error>("create", state_->temporary);
  }
  state_->files.reserve(state_->temporary, state_->file_bytes);
  state_->put(header.bytes.data(), header.bytes.size());
}

SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter& SafetensorsWriter::operator=(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  core::require(state_->written_bytes + static_cast<std::int64_t>(bytes.size()) <= state_->file_bytes, "io",
                "more bytes were given than the tensors of {} have", state_->path);
  state_->put(bytes.data(), bytes.size());
}

void SafetensorsWriter::finish() {
  core::require(state_->written_bytes == state_->file_bytes, "io", "{} has {} bytes, but {} were written", state_->path,
                state_->file_bytes, state_->written_bytes);
  state_->files.announce("sync", state_->temporary);
  sync_descriptor(state_->file.get(), state_->temporary);
  state_->files.rename(state_->temporary, state_->path);
  state_->finished = true;
  state_->files.sync_directory(parent_directory(state_->path));
}

std::int64_t SafetensorsWriter::file_bytes() const { return state_->file_bytes; }

}  // namespace tessera::io

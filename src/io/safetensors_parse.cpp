#include "io/safetensors_format.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/safetensors.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>
#include <tuple>

namespace tessera::io {
namespace {

using core::UserError;
using nlohmann::json;

// JSON text in which no object names a key twice. nlohmann alone would keep the last one in silence.
json parse_json_strictly(std::string_view text, const std::string& file) {
  std::vector<std::set<std::string>> open_objects;
  const json::parser_callback_t note_keys = [&](int /*depth*/, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) {
      open_objects.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      open_objects.pop_back();
    } else if (event == json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      core::require<UserError>(open_objects.back().insert(key).second, "io", "{}: the header names '{}' twice", file,
                               key);
    }
    return true;
  };
  try {
    return json::parse(text, note_keys);
  } catch (const json::exception& error) {
    core::fail<UserError>("io", "{}: the header is not JSON ({}); the file is damaged or of another format", file,
                          error.what());
  }
}

std::int64_t bits_of(const std::string& dtype, const std::string& tensor, const std::string& file) {
  const auto* const known =
      std::ranges::find_if(kSafetensorsDtypes, [&](const SafetensorsDtype& type) { return type.name == dtype; });
  core::require<UserError>(known != kSafetensorsDtypes.end(), "io", "{}: tensor '{}' has the unknown dtype '{}'", file,
                           tensor, dtype);
  return known->bits;
}

// A number of the header that must be an integer in [0, 2^63).
std::int64_t read_count(const json& value, const std::string& what, const std::string& tensor,
                        const std::string& file) {
  core::require<UserError>(value.is_number_unsigned(), "io", "{}: {} of tensor '{}' must be whole numbers from 0", file,
                           what, tensor);
  const auto count = value.get<std::uint64_t>();
  core::require<UserError>(count <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()), "io",
                           "{}: {} of tensor '{}' are larger than any file", file, what, tensor);
  return static_cast<std::int64_t>(count);
}

const json& member(const json& entry, const char* key, const std::string& tensor, const std::string& file) {
  const auto found = entry.find(key);
  core::require<UserError>(found != entry.end(), "io", "{}: tensor '{}' has no '{}'", file, tensor, key);
  return *found;
}

std::int64_t count_elements(const std::vector<std::int64_t>& shape, std::int64_t bits, const std::string& tensor,
                            const std::string& file) {
  std::int64_t count = 1;
  std::int64_t total_bits = 0;
  bool overflow = false;
  for (const std::int64_t extent : shape) {
    overflow = overflow || __builtin_mul_overflow(count, extent, &count);
  }
  overflow = overflow || __builtin_mul_overflow(count, bits, &total_bits);
  core::require<UserError>(!overflow, "io", "{}: the shape of tensor '{}' is larger than any file", file, tensor);
  core::require<UserError>(total_bits % 8 == 0, "io", "{}: tensor '{}' does not end at a whole byte", file, tensor);
  return count;
}

SafetensorsTensor read_entry(const std::string& name, const json& entry, std::span<const std::byte> data,
                             const std::string& file) {
  core::require<UserError>(entry.is_object(), "io", "{}: the header's entry '{}' is not an object", file, name);
  SafetensorsTensor tensor;
  tensor.name = name;
  tensor.file = file;
  const json& dtype = member(entry, "dtype", name, file);
  core::require<UserError>(dtype.is_string(), "io", "{}: the dtype of tensor '{}' is not text", file, name);
  tensor.dtype = dtype.get<std::string>();
  const std::int64_t bits = bits_of(tensor.dtype, name, file);

  const json& shape = member(entry, "shape", name, file);
  core::require<UserError>(shape.is_array(), "io", "{}: the shape of tensor '{}' is not a list", file, name);
  for (const json& extent : shape) {
    tensor.shape.push_back(read_count(extent, "the shape's numbers", name, file));
  }
  tensor.num_elements = count_elements(tensor.shape, bits, name, file);

  const json& offsets = member(entry, "data_offsets", name, file);
  core::require<UserError>(offsets.is_array() && offsets.size() == 2, "io",
                           "{}: the data_offsets of tensor '{}' are not two numbers", file, name);
  const std::int64_t begin = read_count(offsets[0], "the data_offsets", name, file);
  const std::int64_t end = read_count(offsets[1], "the data_offsets", name, file);
  const auto available = static_cast<std::int64_t>(data.size());
  core::require<UserError>(begin <= end, "io", "{}: tensor '{}' ends at byte {}, before it begins at {}", file, name,
                           end, begin);
  core::require<UserError>(end <= available, "io",
                           "{}: tensor '{}' ends at byte {} of the data, of which there are {}; the file is truncated, "
                           "copy it again",
                           file, name, end, available);
  core::require<UserError>(end - begin == tensor.num_elements * bits / 8, "io",
                           "{}: tensor '{}' has {} bytes, but its shape and dtype need {}", file, name, end - begin,
                           tensor.num_elements * bits / 8);
  tensor.bytes = data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  return tensor;
}

std::map<std::string, std::string> read_metadata(const json& entry, const std::string& file) {
  core::require<UserError>(entry.is_object(), "io", "{}: __metadata__ is not an object", file);
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : entry.items()) {
    core::require<UserError>(value.is_string(), "io", "{}: '{}' in __metadata__ is not text", file, key);
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

// In the order of the bytes, each where the one before it ends, and the last at the end of the file.
void check_coverage(std::vector<SafetensorsTensor>& tensors, std::span<const std::byte> data, const std::string& file) {
  std::ranges::sort(tensors, {}, [](const SafetensorsTensor& tensor) {
    return std::tuple(tensor.bytes.data(), tensor.bytes.size(), std::string_view(tensor.name));
  });
  std::size_t covered = 0;
  for (const SafetensorsTensor& tensor : tensors) {
    const auto begin = static_cast<std::size_t>(tensor.bytes.data() - data.data());
    core::require<UserError>(begin == covered, "io", "{}: tensor '{}' begins at byte {} of the data, but {} {}", file,
                             tensor.name, begin, covered, begin < covered ? "are taken already" : "is where it must");
    covered += tensor.bytes.size();
  }
  core::require<UserError>(covered == data.size(), "io",
                           "{}: the tensors cover {} bytes of the {} that follow the header; the file is damaged", file,
                           covered, data.size());
}

}  // namespace

SafetensorsContents parse_safetensors(std::span<const std::byte> bytes, const std::string& file) {
  std::uint64_t header_bytes = 0;
  core::require<UserError>(bytes.size() >= kSafetensorsPrefix, "io",
                           "{}: {} bytes are too few for a safetensors file; it is truncated or of another format",
                           file, bytes.size());
  std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  core::require<UserError>(header_bytes <= kSafetensorsMaxHeader, "io",
                           "{}: the header claims {} bytes, more than the {} allowed; this is not a safetensors file",
                           file, header_bytes, kSafetensorsMaxHeader);
  core::require<UserError>(header_bytes <= bytes.size() - kSafetensorsPrefix, "io",
                           "{}: truncated: the header alone needs {} bytes, the file has {}; copy it again", file,
                           header_bytes + kSafetensorsPrefix, bytes.size());
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kSafetensorsPrefix, header_bytes);
  core::require<UserError>(text.starts_with('{'), "io",
                           "{}: the header does not begin with '{{'; "
                           "this is not a safetensors file",
                           file);
  const json header = parse_json_strictly(text, file);
  const auto data = bytes.subspan(kSafetensorsPrefix + header_bytes);

  SafetensorsContents contents;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      contents.metadata = read_metadata(entry, file);
    } else {
      contents.tensors.push_back(read_entry(name, entry, data, file));
    }
  }
  check_coverage(contents.tensors, data, file);
  return contents;
}

}  // namespace tessera::io

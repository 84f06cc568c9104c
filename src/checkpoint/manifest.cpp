#include "checkpoint/manifest.hpp"

#include "checkpoint/flat_range.hpp"
#include "checkpoint/limits.hpp"
#include "tessera/checkpoint/run_state_json.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/crc32c.hpp"
#include "tessera/io/file_system.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <utility>

namespace tessera::checkpoint {
namespace {

namespace fs = std::filesystem;
using core::UserError;
using nlohmann::json;
using nlohmann::ordered_json;

// The text begins so in every version. The digits stand at a fixed place, so that the checksum of the rest is that of
// the file with zeros in their stead.
constexpr std::string_view kPrefix = R"({"manifest_crc32c": ")";
constexpr std::string_view kZeros = "00000000";

constexpr std::array<state::Component, 6> kComponents{state::Component::kWeight,         state::Component::kMaster,
                                                      state::Component::kExpAvg,         state::Component::kExpAvgSq,
                                                      state::Component::kMomentumBuffer, state::Component::kAverage};
constexpr std::array<core::DType, 2> kStoredTypes{core::DType::kFloat32, core::DType::kBFloat16};

std::string checksum_of(std::string_view text) {
  std::uint32_t crc = io::crc32c(text.data(), kPrefix.size());
  crc = io::crc32c(kZeros.data(), kZeros.size(), crc);
  const std::string_view rest = text.substr(kPrefix.size() + kZeros.size());
  return io::crc32c_text(io::crc32c(rest.data(), rest.size(), crc));
}

std::string tensor_text(const StoredTensor& tensor) {
  ordered_json ranges = ordered_json::array();
  for (const StoredRange& range : tensor.ranges) {
    ranges.push_back({range.begin, range.end, io::crc32c_text(range.crc32c)});
  }
  const ordered_json entry{{"parameter", tensor.info.parameter},
                           {"component", state::name_of(tensor.info.component)},
                           {"dtype", std::string(core::name_of(tensor.info.dtype))},
                           {"shape", tensor.info.shape},
                           {"offset", tensor.offset},
                           {"ranges", std::move(ranges)}};
  return entry.dump();
}

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  core::fail<UserError>("checkpoint", "{}: {}; the manifest is damaged, use another checkpoint", path, what);
}

// Reads the members of the manifest, each of the type that it must have.
class Fields {
 public:
  explicit Fields(const std::string& path) : path_(path) {}

  const json& member(const json& object, const char* key) const {
    const auto found = object.is_object() ? object.find(key) : object.end();
    if (!object.is_object() || found == object.end()) {
      refuse(path_, fmt::format("'{}' is missing", key));
    }
    return *found;
  }
  std::string text(const json& object, const char* key) const {
    const json& value = member(object, key);
    if (!value.is_string()) {
      refuse(path_, fmt::format("'{}' is not text", key));
    }
    return value.get<std::string>();
  }
  std::int64_t count(const json& value, const char* key) const {
    if (!value.is_number_unsigned() ||
        value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      refuse(path_, fmt::format("'{}' is not a count", key));
    }
    return value.get<std::int64_t>();
  }
  const json& list(const json& object, const char* key) const {
    const json& value = member(object, key);
    if (!value.is_array()) {
      refuse(path_, fmt::format("'{}' is not a list", key));
    }
    return value;
  }
  std::uint32_t checksum(const json& value, const char* key) const {
    const std::string digits = value.is_string() ? value.get<std::string>() : "";
    const bool hexadecimal = digits.size() == 8 && digits.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!hexadecimal) {
      refuse(path_, fmt::format("'{}' is not eight hexadecimal digits", key));
    }
    return static_cast<std::uint32_t>(std::stoul(digits, nullptr, 16));
  }

 private:
  const std::string& path_;
};

template <class Value, std::size_t kCount>
Value by_name(const std::array<Value, kCount>& values, const std::string& name, const std::string& path) {
  const auto* const found =
      std::find_if(values.begin(), values.end(), [&](Value value) { return name_of(value) == name; });
  if (found == values.end()) {
    refuse(path, fmt::format("'{}' is no component or type of a tensor", name));
  }
  return *found;
}

StoredTensor parse_tensor(const json& entry, const Fields& fields, const std::string& path) {
  StoredTensor tensor;
  tensor.info.parameter = fields.text(entry, "parameter");
  tensor.info.component = by_name(kComponents, fields.text(entry, "component"), path);
  tensor.info.dtype = by_name(kStoredTypes, fields.text(entry, "dtype"), path);
  for (const json& extent : fields.list(entry, "shape")) {
    tensor.info.shape.push_back(fields.count(extent, "shape"));
  }
  tensor.offset = fields.count(fields.member(entry, "offset"), "offset");
  for (const json& range : fields.list(entry, "ranges")) {
    if (!range.is_array() || range.size() != 3) {
      refuse(path, "a range is not [begin, end, checksum]");
    }
    tensor.ranges.push_back({fields.count(range[0], "begin of a range"), fields.count(range[1], "end of a range"),
                             fields.checksum(range[2], "checksum of a range")});
  }
  return tensor;
}

// Whether a path is of this type. Throws UserError where the system does not tell, which is not to be taken for no.
bool is_there(const std::string& path, fs::file_type type) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  core::require<UserError>(status.type() != fs::file_type::none, "checkpoint", "{} cannot be read: {}", path,
                           error.message());
  return status.type() == type;
}

// The version before anything that it may have changed.
void check_version(const json& object, const Fields& fields, const std::string& path) {
  core::require<UserError>(fields.text(object, "format") == kFormatName, "checkpoint",
                           "{} is of the format '{}', not '{}'", path, fields.text(object, "format"), kFormatName);
  const std::int64_t version = fields.count(fields.member(object, "format_version"), "format_version");
  core::require<UserError>(version <= kFormatVersion, "checkpoint",
                           "{} is of format version {}, written by a newer program; this one reads up to version {}",
                           path, version, kFormatVersion);
  if (version < 1) {
    refuse(path, "there is no format version 0");
  }
}

}  // namespace

std::string to_text(const Manifest& manifest) {
  std::string text = std::string(kPrefix) + std::string(kZeros) + "\",\n";
  text += fmt::format(" \"format\": \"{}\",\n \"format_version\": {},\n \"created\": {},\n", kFormatName,
                      kFormatVersion, json(manifest.created).dump());
  text += " \"run\": " + to_json(manifest.run) + ",\n";
  text += fmt::format(R"( "state_file": {{"name": "{}", "bytes": {}, "structure_crc32c": "{}"}},)", kStateFile,
                      manifest.state_bytes, io::crc32c_text(manifest.structure_crc32c));
  text += "\n \"tensors\": [\n";
  for (const StoredTensor& tensor : manifest.tensors) {
    text += "  " + tensor_text(tensor) + (&tensor == &manifest.tensors.back() ? "\n" : ",\n");
  }
  text += " ]}\n";
  return text.replace(kPrefix.size(), kZeros.size(), checksum_of(text));
}

Manifest parse_manifest(std::string_view text, const std::string& path) {
  const bool has_checksum = text.size() > kPrefix.size() + kZeros.size() && text.starts_with(kPrefix);
  if (!has_checksum || text.substr(kPrefix.size(), kZeros.size()) != checksum_of(text)) {
    refuse(path, "the text does not agree with its checksum");
  }
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) {
    refuse(path, "the text is not a JSON object");
  }
  const Fields fields(path);
  check_version(object, fields, path);

  Manifest manifest;
  manifest.created = fields.text(object, "created");
  manifest.run = run_state_from_json(fields.member(object, "run").dump(), path);
  const json& file = fields.member(object, "state_file");
  manifest.state_bytes = fields.count(fields.member(file, "bytes"), "bytes");
  manifest.structure_crc32c = fields.checksum(fields.member(file, "structure_crc32c"), "structure_crc32c");
  for (const json& entry : fields.list(object, "tensors")) {
    StoredTensor tensor = parse_tensor(entry, fields, path);
    if (const auto fault = find_fault(tensor, manifest.state_bytes)) {
      refuse(path, tensor.name() + " " + *fault);
    }
    manifest.tensors.push_back(std::move(tensor));
  }
  return manifest;
}

std::optional<std::string> find_fault(const StoredTensor& tensor, std::int64_t file_bytes) {
  std::int64_t num_elements = 0;
  try {
    num_elements = count_elements(tensor.info.shape);
  } catch (const core::Error&) {
    return "has a shape that no tensor has";
  }
  const auto element_bytes = static_cast<std::int64_t>(core::size_of(tensor.info.dtype));
  if (tensor.offset > file_bytes || num_elements > (file_bytes - tensor.offset) / element_bytes) {
    return "does not lie inside the state file";
  }
  std::int64_t covered = 0;
  for (const StoredRange& range : tensor.ranges) {
    if (range.begin != covered || range.end <= range.begin || range.end > num_elements) {
      return fmt::format("has a range of elements {} to {} where one from {} was due, of {}", range.begin, range.end,
                         covered, num_elements);
    }
    if ((range.end - range.begin) * element_bytes > kLargestRangeBytes) {
      return fmt::format("has a range of more than {} bytes", kLargestRangeBytes);
    }
    covered = range.end;
  }
  if (covered != num_elements) {
    return fmt::format("has {} elements, of which the ranges cover {}", num_elements, covered);
  }
  return std::nullopt;
}

Manifest read_manifest(const std::string& directory) {
  core::require<UserError>(is_there(directory, fs::file_type::directory), "checkpoint",
                           "there is no checkpoint directory {}", directory);
  const std::string path = directory + "/" + std::string(kManifestFile);
  core::require<UserError>(is_there(path, fs::file_type::regular), "checkpoint",
                           "{} has no {}: it is not a checkpoint, or not a whole one", directory, kManifestFile);
  Manifest manifest = parse_manifest(io::read_text_file(path, kLargestManifest), path);
  const std::string state = directory + "/" + std::string(kStateFile);
  std::error_code error;
  const auto bytes = fs::file_size(state, error);
  core::require<UserError>(!error, "checkpoint", "{} cannot be read: {}; use another checkpoint", state,
                           error.message());
  core::require<UserError>(std::cmp_equal(bytes, manifest.state_bytes), "checkpoint",
                           "{} has {} bytes instead of {}: it is not whole, use another checkpoint", state, bytes,
                           manifest.state_bytes);
  return manifest;
}

std::vector<std::pair<std::int64_t, std::int64_t>> structure_extents(const std::vector<StoredTensor>& tensors,
                                                                     std::int64_t file_bytes, const std::string& path) {
  std::vector<const StoredTensor*> by_offset;
  for (const StoredTensor& tensor : tensors) {
    by_offset.push_back(&tensor);
  }
  std::ranges::sort(by_offset, [](auto* left, auto* right) { return left->offset < right->offset; });
  std::vector<std::pair<std::int64_t, std::int64_t>> extents;
  std::int64_t reached = 0;
  for (const StoredTensor* tensor : by_offset) {
    if (tensor->offset < reached) {
      refuse(path, tensor->name() + " lies over another tensor");
    }
    if (tensor->offset > reached) {
      extents.emplace_back(reached, tensor->offset);
    }
    reached = tensor->offset + tensor->num_bytes();
  }
  if (reached < file_bytes) {
    extents.emplace_back(reached, file_bytes);
  }
  return extents;
}

}  // namespace tessera::checkpoint

#include "checkpoint/import_source.hpp"

#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/convert.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <unordered_set>

namespace tessera::checkpoint {

namespace {

using core::UserError;

// What a language model has besides, and images have no use for.
constexpr std::array<std::string_view, 2> kUnusedSuffixes{"embed_tokens.weight", "lm_head.weight"};
constexpr std::size_t kMostNames = 10;  // in one message

bool is_known_unused(const std::string& name) {
  return std::ranges::any_of(kUnusedSuffixes, [&](std::string_view suffix) { return name.ends_with(suffix); });
}

}  // namespace

const ImportParameter* ImportSource::Contents::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &parameters[found->second];
}

ImportParameter& ImportSource::Contents::add(std::string name, std::vector<std::int64_t> shape,
                                             std::int64_t num_elements) {
  core::require<UserError>(by_name_.emplace(name, parameters.size()).second, "checkpoint", "{} is in {} twice", name,
                           facts.kind);
  parameters.push_back({std::move(name), std::move(shape), num_elements, {}, {}, {}, {}});
  return parameters.back();
}

ImportSource::ImportSource(const std::string& path, const ImportOptions& options)
    : contents_(std::make_unique<Contents>()) {
  std::error_code ignored;
  core::require<UserError>(std::filesystem::exists(path, ignored), "checkpoint", "there is no {}", path);
  core::require<UserError>(!is_checkpoint(path), "checkpoint",
                           "{} is a checkpoint of this program already: resume it, or copy it", path);
  const bool is_directory = std::filesystem::is_directory(path, ignored);
  const std::string deepspeed = is_directory ? find_deepspeed_directory(path) : "";
  if (!deepspeed.empty()) {
    read_deepspeed(*contents_, deepspeed, options);
  } else if (is_directory || path.ends_with(".safetensors")) {
    read_safetensors_weights(*contents_, path);
  } else if (path.ends_with(".h5")) {
    read_hdf5_weights(*contents_, path);
  } else {
    core::require<UserError>(
        path.ends_with(".pth") || path.ends_with(".pt") || path.ends_with(".bin"), "checkpoint",
        "{} is no file of weights: give a .safetensors, .pth, .pt, .bin or .h5 file, a directory with safetensors, or "
        "a DeepSpeed checkpoint's directory",
        path);
    read_torch_weights(*contents_, path);
  }
}

ImportSource::~ImportSource() = default;

const ImportFacts& ImportSource::facts() const { return contents_->facts; }

std::vector<NamedShape> ImportSource::parameters() const {
  std::vector<NamedShape> list;
  for (const ImportParameter& parameter : contents_->parameters) {
    list.push_back({parameter.name, parameter.shape});
  }
  return list;
}

const std::vector<std::int64_t>* ImportSource::shape_of(const std::string& name) const {
  const ImportParameter* const found = contents_->find(name);
  return found == nullptr ? nullptr : &found->shape;
}

std::vector<std::string> ImportSource::match(const std::vector<NamedShape>& wanted) const {
  const Contents& source = *contents_;
  std::vector<std::string> lines;
  std::unordered_set<std::string> known;
  for (const NamedShape& parameter : wanted) {
    known.insert(parameter.name);
    const ImportParameter* const found = source.find(parameter.name);
    if (found == nullptr) {
      lines.push_back("missing: " + parameter.name);
    } else if (found->shape != parameter.shape) {
      lines.push_back(fmt::format("of another shape: {} is [{}], the model's is [{}]", parameter.name,
                                  fmt::join(found->shape, ", "), fmt::join(parameter.shape, ", ")));
    }
  }
  std::vector<std::string> passed_over;
  for (const ImportParameter& parameter : source.parameters) {
    if (known.contains(parameter.name)) {
      continue;
    }
    if (is_known_unused(parameter.name)) {
      passed_over.push_back(parameter.name);
    } else {
      lines.push_back("unexpected: " + parameter.name);
    }
  }
  const std::size_t num_lines = lines.size();
  if (num_lines > kMostNames) {
    lines.resize(kMostNames);
    lines.push_back(fmt::format("and {} more", num_lines - kMostNames));
  }
  core::require<UserError>(lines.empty(), "checkpoint", "this model cannot be made of {}; check --model_config:\n  {}",
                           source.facts.kind, fmt::join(lines, "\n  "));
  return passed_over;
}

void ImportSource::read_floats(const std::string& name, std::int64_t begin, std::span<float> values) const {
  const ImportParameter* const found = contents_->find(name);
  const std::int64_t end = begin + static_cast<std::int64_t>(values.size());
  core::require(found != nullptr && 0 <= begin && end <= found->num_elements, "checkpoint",
                "elements {} to {} of {} were asked for, which the source does not have", begin, end, name);
  for (const Fragment& fragment : found->weight) {
    const std::int64_t first = std::max(begin, fragment.begin);
    const std::int64_t last = std::min(end, fragment.end);
    if (first < last) {
      const auto skipped = static_cast<std::size_t>(first - fragment.begin) * core::size_of(fragment.dtype);
      io::convert_elements(fragment.dtype, fragment.data + skipped, core::DType::kFloat32,
                           values.data() + (first - begin), static_cast<std::size_t>(last - first));
    }
  }
}

}  // namespace tessera::checkpoint

#include "checkpoint/import_source.hpp"

#include "tessera/core/error.hpp"

#include <filesystem>

namespace tessera::checkpoint {

using core::UserError;

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
  core::require<UserError>(!std::filesystem::exists(path + "/manifest.json", ignored), "checkpoint",
                           "{} is a checkpoint of this program already: resume it, or copy it", path);
  const bool is_directory = std::filesystem::is_directory(path, ignored);
  const std::string deepspeed = is_directory ? find_deepspeed_directory(path) : "";
  if (!deepspeed.empty()) {
    read_deepspeed(*contents_, deepspeed, options);
  } else if (is_directory || path.ends_with(".safetensors")) {
    read_safetensors_weights(*contents_, path);
  } else {
    core::require<UserError>(
        path.ends_with(".pth") || path.ends_with(".pt") || path.ends_with(".bin"), "checkpoint",
        "{} is no source of an import: give a DeepSpeed checkpoint directory, a .pth, .pt, .bin or "
        ".safetensors file, or a directory with safetensors",
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

}  // namespace tessera::checkpoint

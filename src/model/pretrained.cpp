#include "tessera/model/pretrained.hpp"

#include "tessera/core/error.hpp"
#include "tessera/io/safetensors.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace tessera::model {
namespace {

constexpr std::string_view kBackbonePrefix = "qwen.";
// How others name the backbone: Qwen3ForCausalLM, Qwen3Model, and we.
constexpr std::array<std::string_view, 3> kForeignPrefixes{"model.", "", "qwen."};
constexpr std::array<std::string_view, 2> kUnusedSuffixes{"embed_tokens.weight", "lm_head.weight"};
constexpr std::string_view kHeadPrefix = "classifier.";  // which a table of the backbone alone does not have

bool is_backbone(const Param& param) { return param.name.starts_with(kBackbonePrefix); }

// The prefix under which this file has the backbone; that of Qwen3ForCausalLM where it seems to have none.
std::string_view find_prefix(const io::SafetensorsReader& reader) {
  for (const std::string_view prefix : kForeignPrefixes) {
    if (reader.find(std::string(prefix) + "norm.weight") != nullptr) {
      return prefix;
    }
  }
  return kForeignPrefixes[0];
}

std::string stored_name(const Param& param, std::string_view prefix) {
  return is_backbone(param) ? std::string(prefix) + param.name.substr(kBackbonePrefix.size()) : param.name;
}

bool is_known_unused(std::string_view name, const ParamTable& table) {
  if (name.starts_with(kHeadPrefix)) {
    return !table.params.back().name.starts_with(kHeadPrefix);
  }
  return std::ranges::any_of(kUnusedSuffixes, [name](std::string_view suffix) { return name.ends_with(suffix); });
}

// A few names stand for many.
std::string shorten(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 5;
  if (names.size() <= kShown) {
    return fmt::format("{}", fmt::join(names, ", "));
  }
  return fmt::format("{}, and {} more", fmt::join(names.begin(), names.begin() + kShown, ", "), names.size() - kShown);
}

struct Findings {
  std::vector<std::string> missing;
  std::vector<std::string> wrong;
  std::vector<std::string> unexpected;

  [[nodiscard]] std::string text() const {
    std::string result;
    const auto add = [&result](const char* what, const std::vector<std::string>& names) {
      if (!names.empty()) {
        result += fmt::format("\n  {}: {}", what, shorten(names));
      }
    };
    add("missing", missing);
    add("mis-shaped", wrong);
    add("unexpected", unexpected);
    return result;
  }
};

}  // namespace

class PretrainedWeights::Impl {
 public:
  Impl(io::SafetensorsReader files, const std::string& path, const ParamTable& table) : reader(std::move(files)) {
    Findings findings;
    const std::string_view prefix = find_prefix(reader);
    std::unordered_set<std::string> expected;
    for (const Param& param : table.params) {
      const std::string name = stored_name(param, prefix);
      expected.insert(name);
      match(param, reader.find(name), findings);
    }
    for (const io::SafetensorsTensor& tensor : reader.tensors()) {
      if (!expected.contains(tensor.name)) {
        (is_known_unused(tensor.name, table) ? unused : findings.unexpected).push_back(tensor.name);
      }
    }
    judge_missing(table, findings);
    core::require<core::UserError>(findings.text().empty(), "model", "{} does not hold this model:{}\n  {}", path,
                                   findings.text(),
                                   "check --pretrained_model_path, the model's config, --nb_classes and --cls_token");
  }

  io::SafetensorsReader reader;
  std::unordered_map<std::string, const io::SafetensorsTensor*> by_param;
  std::vector<std::string> absent;
  std::vector<std::string> unused;

 private:
  void match(const Param& param, const io::SafetensorsTensor* tensor, Findings& findings) {
    if (tensor == nullptr) {
      findings.missing.push_back(param.name);
    } else if (tensor->shape != param.shape) {
      findings.wrong.push_back(fmt::format("{} is [{}], not [{}]", tensor->name, fmt::join(tensor->shape, ", "),
                                           fmt::join(param.shape, ", ")));
    } else if (!tensor->element_type()) {
      findings.wrong.push_back(fmt::format("{} is of type {}, not F32, BF16 or F16", tensor->name, tensor->dtype));
    } else {
      by_param.emplace(param.name, tensor);
    }
  }

  // A backbone's files have no patch embedding and no head: all of them absent is as it should be, some is not.
  void judge_missing(const ParamTable& table, Findings& findings) {
    const bool any_head = std::ranges::any_of(
        table.params, [this](const Param& param) { return !is_backbone(param) && by_param.contains(param.name); });
    if (any_head) {
      return;
    }
    const auto is_head = [](const std::string& name) { return !name.starts_with(kBackbonePrefix); };
    std::ranges::copy_if(findings.missing, std::back_inserter(absent), is_head);
    std::erase_if(findings.missing, is_head);
  }
};

PretrainedWeights::PretrainedWeights(const std::string& file_or_directory, const ParamTable& table)
    : PretrainedWeights(io::SafetensorsReader(file_or_directory), file_or_directory, table) {}

PretrainedWeights::PretrainedWeights(io::SafetensorsReader files, const std::string& path, const ParamTable& table)
    : impl_(std::make_unique<Impl>(std::move(files), path, table)) {}

PretrainedWeights::~PretrainedWeights() = default;

bool PretrainedWeights::has(const Param& param) const { return impl_->by_param.contains(param.name); }

void PretrainedWeights::read(const Param& param, std::int64_t begin, std::span<float> values) const {
  const auto found = impl_->by_param.find(param.name);
  core::require(found != impl_->by_param.end(), "model", "{} is not in the pretrained files", param.name);
  io::read_elements(*found->second, begin, begin + static_cast<std::int64_t>(values.size()), core::DType::kFloat32,
                    values.data());
}

const std::vector<std::string>& PretrainedWeights::absent() const { return impl_->absent; }
const std::vector<std::string>& PretrainedWeights::unused() const { return impl_->unused; }

}  // namespace tessera::model

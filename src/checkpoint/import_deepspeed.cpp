#include "checkpoint/import_deepspeed.hpp"

#include "checkpoint/flat_range.hpp"
#include "checkpoint/pickle_access.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/file_system.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

// The files of DeepSpeedEngine.save_checkpoint for ZeRO stages 1 and 2: the model's bf16 weights, with the names and
// shapes of each group of the optimizer, in mp_rank_00_model_states.pt; and each rank's partition of each group, flat
// and in fp32, in a file of its own. (DeepSpeed's runtime/engine.py, utils/zero_to_fp32.py)

namespace tessera::checkpoint {
namespace {

namespace fs = std::filesystem;
using core::UserError;
using io::PickleKind;
using io::PickleValue;

constexpr std::string_view kModelSuffix = "_model_states.pt";

const io::TorchArchive& open_model(ImportSource::Contents& contents, const std::string& directory) {
  const auto names = names_ending(directory, kModelSuffix);
  core::require<UserError>(names.size() == 1 && names[0].starts_with("mp_rank_"), "checkpoint",
                           "{} has {}; of DeepSpeed's checkpoints those of ZeRO-1 and ZeRO-2 are read, which have one "
                           "mp_rank_00{}; not those of ZeRO-3, nor of tensor or expert parallelism",
                           directory, fmt::join(names, ", "), kModelSuffix);
  return contents.torch_files.emplace_back(directory + "/" + names[0]).archive();
}

void read_facts(ImportFacts& facts, const PickleValue& root) {
  facts.global_step = count(root.find("global_steps"), 0).value_or(0);
  facts.skipped_steps = count(root.find("skipped_steps"), 0).value_or(0);
  facts.effective_batch = count(find_in(root.find("ds_config"), "train_batch_size"), 1);
  // The reference pipeline saves the number of the epoch that it has just finished.
  if (const auto epoch = count(root.find("epoch"), 0)) {
    facts.epochs_done = std::min(*epoch, std::int64_t{1} << 40U) + 1;
  }
}

void read_settings(ImportFacts& facts, const PickleValue* group) {
  const auto initial = real(find_in(group, "initial_lr"));
  facts.peak_lr = initial ? initial : real(find_in(group, "lr"));
  const PickleValue* const betas = find_in(group, "betas");
  const auto text = [](const std::optional<double>& number) { return number ? fmt::format("{:g}", *number) : "?"; };
  if (group != nullptr) {
    facts.notes.push_back(fmt::format("its AdamW had betas {} and {}, eps {}, weight decay {}, peak learning rate {}",
                                      text(real(item_of(betas, 0))), text(real(item_of(betas, 1))),
                                      text(real(find_in(group, "eps"))), text(real(find_in(group, "weight_decay"))),
                                      text(facts.peak_lr)));
  }
}

void refuse_frozen(const io::TorchArchive& model) {
  const PickleValue* const frozen = model.root().find("frozen_param_shapes");
  if (frozen != nullptr && frozen->is_mapping() && !frozen->items.empty()) {
    core::fail<UserError>("checkpoint",
                          "{}: {} parameters ({} and so on) were frozen, and its optimizer knows nothing of them{}",
                          model.file(), frozen->items.size() / 2, frozen->items[0]->text, kOrWeightsOnly);
  }
}

// The parameters of a group in the order in which they lie in its flat space.
std::vector<FlatParameter> lay_out(const PickleValue& shapes, const ImportSource::Contents& weights,
                                   const std::vector<std::int64_t>& gaps, const std::string& where) {
  core::require<UserError>(shapes.is_mapping(), "checkpoint", "{}: param_shapes are no dicts of shapes", where);
  std::vector<FlatParameter> parameters;
  std::int64_t position = 0;
  for (std::size_t i = 0; i + 1 < shapes.items.size(); i += 2) {
    const std::string name(shapes.items[i]->text);
    const ImportParameter* const weight = weights.find(name);
    core::require<UserError>(weight != nullptr, "checkpoint", "{}: the optimizer has {}, the model has not{}", where,
                             name, kOrWeightsOnly);
    const PickleValue* shape = shapes.items[i + 1];
    shape = shape->is_call("torch.Size") ? item_of(shape->target, 0) : shape;
    bool same = shape != nullptr && shape->is_sequence() && shape->items.size() == weight->shape.size();
    for (std::size_t d = 0; same && d < weight->shape.size(); ++d) {
      same = whole(shape->items[d]) == weight->shape[d];
    }
    core::require<UserError>(same, "checkpoint", "{}: {} has another shape in param_shapes than in the model{}", where,
                             name, kOrWeightsOnly);
    const std::int64_t end = position + weight->num_elements;
    parameters.push_back({name, position, end});
    position = end + (i / 2 < gaps.size() ? gaps[i / 2] : 0);
    core::require<UserError>(position >= 0 && position <= std::int64_t{1} << 52U, "checkpoint",
                             "{}: the parameters are larger than any file", where);
  }
  return parameters;
}

void add_group(ImportSource::Contents& contents, const ImportSource::Contents& weights, const FlatGroup& group,
               const FlatParameter& flat, const std::string& directory) {
  const ImportParameter& weight = *weights.find(flat.name);
  core::require<UserError>(weight.weight.at(0).dtype == core::DType::kBFloat16, "checkpoint",
                           "{}: {} is of type {}; the optimizer state of bf16 runs is read{}", directory, flat.name,
                           core::name_of(weight.weight[0].dtype), kOrWeightsOnly);
  ImportParameter& parameter = contents.add(flat.name, weight.shape, weight.num_elements);
  parameter.weight = weight.weight;
  parameter.master = take_apart(group.master, group.partition_size, flat, directory);
  if (group.exp_avg.empty()) {
    parameter.exp_avg = {{0, weight.num_elements, core::DType::kFloat32, nullptr}};
    parameter.exp_avg_sq = parameter.exp_avg;
  } else {
    parameter.exp_avg = take_apart(group.exp_avg, group.partition_size, flat, directory);
    parameter.exp_avg_sq = take_apart(group.exp_avg_sq, group.partition_size, flat, directory);
  }
}

}  // namespace

std::vector<std::string> names_ending(const std::string& directory, std::string_view suffix) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    std::string name = entry.path().filename().string();
    if (name.ends_with(suffix)) {
      names.push_back(std::move(name));
    }
  }
  std::ranges::sort(names);
  return names;
}

std::string find_deepspeed_directory(const std::string& path) {
  constexpr std::int64_t kLongestTag = 4096;
  if (!names_ending(path, kModelSuffix).empty()) {
    return path;
  }
  std::error_code ignored;
  if (!fs::is_regular_file(path + "/latest", ignored)) {
    return "";
  }
  std::string tag = io::read_text_file(path + "/latest", kLongestTag);
  tag.erase(std::ranges::find_if(tag, [](char letter) { return letter == '\n' || letter == '\r'; }), tag.end());
  const std::string directory = path + "/" + tag;
  return tag.empty() || names_ending(directory, kModelSuffix).empty() ? "" : directory;
}

void read_deepspeed(ImportSource::Contents& contents, const std::string& directory, const ImportOptions& options) {
  ImportSource::Contents weights;
  ImportSource::Contents& target = options.weights_only ? contents : weights;
  target.facts.kind = directory;
  const io::TorchArchive& model = open_model(contents, directory);
  const PickleValue* const module = model.root().find("module");
  core::require<UserError>(module != nullptr && module->is_mapping(), "checkpoint",
                           "{} has no state dict under 'module'; it is of no DeepSpeed checkpoint known here",
                           model.file());
  add_state_dict(target, model, *module);
  contents.facts.of_deepspeed = true;
  read_facts(contents.facts, model.root());
  if (options.weights_only) {
    contents.facts.kind = "the weights of the DeepSpeed checkpoint " + directory;
    return;
  }
  refuse_frozen(model);
  DeepSpeedRanks ranks(contents, directory);
  contents.facts.kind = fmt::format("the DeepSpeed ZeRO-{} checkpoint {} of {} {}", ranks.stage(), directory,
                                    ranks.count(), ranks.count() == 1 ? "rank" : "ranks");
  const PickleValue* const groups = model.root().find("param_shapes");
  core::require<UserError>(groups != nullptr && groups->is(PickleKind::kList), "checkpoint", "{} has no param_shapes{}",
                           model.file(), kOrWeightsOnly);
  for (std::size_t index = 0; index < groups->items.size(); ++index) {
    const FlatGroup group = ranks.group(index);
    for (const FlatParameter& flat : lay_out(*groups->items[index], weights, group.gaps, model.file())) {
      add_group(contents, weights, group, flat, directory);
    }
  }
  contents.facts.has_optimizer = true;
  contents.facts.optimizer_step = ranks.optimizer_step();
  contents.facts.world_size = ranks.count();
  contents.facts.zero_stage = ranks.stage();
  read_settings(contents.facts, ranks.settings(0));
}

}  // namespace tessera::checkpoint

#include "checkpoint/import_deepspeed.hpp"
#include "checkpoint/pickle_access.hpp"
#include "tessera/core/error.hpp"

#include <cmath>
#include <cstring>
#include <map>
#include <regex>

// What DeepSpeed's ZeRO optimizers give as their state_dict(): DeepSpeedZeroOptimizer (runtime/zero/stage_1_and_2.py)
// and BF16_Optimizer (runtime/bf16_optimizer.py), which ZeRO-1 has where gradients are summed in fp32.

namespace tessera::checkpoint {
namespace {

using core::UserError;
using io::PickleKind;
using io::PickleValue;

constexpr std::int64_t kMostElements = std::int64_t{1} << 50U;  // of a partition; products with ranks stay in 64 bits

// A flat tensor of fp32.
io::TorchTensor read_flat(const io::TorchArchive& archive, const PickleValue* value, const std::string& name) {
  core::require<UserError>(value != nullptr, "checkpoint", "{} has no {}{}", archive.file(), name, kOrWeightsOnly);
  io::TorchTensor tensor = archive.tensor(*value, name);
  core::require<UserError>(tensor.element_type() == core::DType::kFloat32 && tensor.shape.size() == 1, "checkpoint",
                           "{}: {} is no flat tensor of fp32, but a {} with {} dimensions; masters and moments in "
                           "other types are not read{}",
                           archive.file(), name, tensor.storage, tensor.shape.size(), kOrWeightsOnly);
  return tensor;
}

}  // namespace

DeepSpeedRanks::DeepSpeedRanks(ImportSource::Contents& contents, std::string directory)
    : directory_(std::move(directory)) {
  open(contents);
  read_stage();
}

void DeepSpeedRanks::open(ImportSource::Contents& contents) {
  const std::regex pattern("(?:bf16_)?zero_pp_rank_([0-9]{1,6})_mp_rank_00_optim_states\\.pt");
  std::map<std::size_t, std::string> files;
  for (const std::string& name : names_ending(directory_, "_optim_states.pt")) {
    std::smatch match;
    core::require<UserError>(std::regex_match(name, match, pattern) && files.emplace(std::stoul(match[1]), name).second,
                             "checkpoint", "{} has {}, which is no rank's part of a ZeRO-1 or ZeRO-2 run{}", directory_,
                             name, kOrWeightsOnly);
  }
  for (const auto& [rank, name] : files) {
    core::require<UserError>(rank == ranks_.size(), "checkpoint",
                             "{} has no file of rank {}; copy the checkpoint again{}", directory_, ranks_.size(),
                             kOrWeightsOnly);
    const io::TorchArchive& archive = contents.torch_files.emplace_back(directory_ + "/" + name).archive();
    const PickleValue* const state = archive.root().find("optimizer_state_dict");
    core::require<UserError>(state != nullptr && state->is_mapping(), "checkpoint",
                             "{} has no optimizer_state_dict; it is of no DeepSpeed checkpoint known here{}",
                             archive.file(), kOrWeightsOnly);
    ranks_.push_back({&archive, state});
  }
  core::require<UserError>(!ranks_.empty(), "checkpoint", "{} has no *_optim_states.pt, no optimizer state{}",
                           directory_, kOrWeightsOnly);
}

void DeepSpeedRanks::read_stage() {
  const PickleValue* stage = ranks_[0].state->find("zero_stage");
  // BF16_Optimizer does not say its stage, and leaves the padding where it is.
  keeps_padding_ = stage == nullptr;
  if (stage != nullptr && stage->is(PickleKind::kCall)) {
    stage = item_of(stage->target, 0);  // an enum's value
  }
  const std::int64_t number = keeps_padding_ ? 1 : whole(stage).value_or(-1);
  core::require<UserError>(number == 1 || number == 2, "checkpoint", "{} is of ZeRO stage {}; stages 1 and 2 are read",
                           ranks_[0].archive->file(), number);
  stage_ = static_cast<int>(number);
  const PickleValue* const counts = ranks_[0].state->find("partition_count");
  const auto written = whole(counts != nullptr && counts->is_sequence() ? item_of(counts, 0) : counts);
  core::require<UserError>(written == static_cast<std::int64_t>(ranks_.size()), "checkpoint",
                           "{} has the files of {} ranks, and says that {} wrote it; copy the checkpoint again{}",
                           directory_, ranks_.size(), written.value_or(0), kOrWeightsOnly);
}

FlatGroup DeepSpeedRanks::group(std::size_t index) {
  FlatGroup group;
  for (const Rank& rank : ranks_) {
    const PickleValue* const masters = rank.state->find("single_partition_of_fp32_groups");
    group.master.push_back(read_flat(*rank.archive, item_of(masters, index),
                                     fmt::format("group {} of single_partition_of_fp32_groups", index)));
    const std::int64_t held = group.master.back().num_elements;
    const auto padding = checkpoint::count(item_of(rank.state->find("group_paddings"), index), 0);
    const std::int64_t size = held + (keeps_padding_ ? 0 : std::min(padding.value_or(0), kMostElements));
    if (group.master.size() == 1) {
      group.partition_size = size;
    }
    core::require<UserError>(size > 0 && size <= kMostElements && size == group.partition_size, "checkpoint",
                             "{}: the partition of group {} has {} elements, and that of rank 0 has {}; they are of "
                             "different checkpoints, copy them again",
                             rank.archive->file(), index, size, group.partition_size);
    add_moments(rank, index, group);
  }
  core::require<UserError>(group.exp_avg.empty() || group.exp_avg.size() == ranks_.size(), "checkpoint",
                           "{}: some ranks have moments of group {} and others have none{}", directory_, index,
                           kOrWeightsOnly);
  const PickleValue* const gaps = item_of(ranks_[0].state->find("param_alignment_paddings"), index);
  for (std::size_t i = 0; gaps != nullptr && i < gaps->items.size(); ++i) {
    group.gaps.push_back(std::min(checkpoint::count(gaps->items[i], 0).value_or(0), kMostElements));
  }
  return group;
}

const PickleValue* DeepSpeedRanks::settings(std::size_t index) const {
  return item_of(find_in(ranks_[0].state->find("base_optimizer_state"), "param_groups"), index);
}

// The state of torch's optimizers is by the number of a parameter: here each group has one, the flat partition. With
// elastic_checkpoint it is a list by group.
const PickleValue* DeepSpeedRanks::find_moments(const Rank& rank, std::size_t index) const {
  const PickleValue* const base = rank.state->find("base_optimizer_state");
  if (base != nullptr && base->is(PickleKind::kList)) {
    return item_of(base, index);
  }
  const PickleValue* const group = item_of(find_in(base, "param_groups"), index);
  const auto number = whole(item_of(find_in(group, "params"), 0));
  return find_in(find_in(base, "state"), number.value_or(static_cast<std::int64_t>(index)));
}

void DeepSpeedRanks::add_moments(const Rank& rank, std::size_t index, FlatGroup& group) {
  const PickleValue* const moments = find_moments(rank, index);
  if (moments == nullptr || moments->items.empty()) {
    return;
  }
  core::require<UserError>(moments->find("exp_avg") != nullptr && moments->find("exp_avg_sq") != nullptr, "checkpoint",
                           "{}: the optimizer's state of group {} has no exp_avg and exp_avg_sq: it is not AdamW's{}",
                           rank.archive->file(), index, kOrWeightsOnly);
  group.exp_avg.push_back(
      read_flat(*rank.archive, moments->find("exp_avg"), fmt::format("exp_avg of group {}", index)));
  group.exp_avg_sq.push_back(
      read_flat(*rank.archive, moments->find("exp_avg_sq"), fmt::format("exp_avg_sq of group {}", index)));
  const PickleValue* const step = moments->find("step");
  note_step(rank, step != nullptr ? step : find_in(settings(index), "step"));
}

// A number, or torch's AdamW's tensor of one fp32. Every group of every rank makes every step.
void DeepSpeedRanks::note_step(const Rank& rank, const PickleValue* step) {
  auto number = checkpoint::count(step != nullptr ? step : rank.state->find("base_optimizer_state_step"), 0);
  if (!number && step != nullptr && io::TorchArchive::is_tensor(*step)) {
    const io::TorchTensor tensor = rank.archive->tensor(*step, "the optimizer's step");
    if (tensor.num_elements == 1 && tensor.element_type() == core::DType::kFloat32) {
      float value = 0;
      std::memcpy(&value, tensor.bytes.data(), sizeof(value));
      constexpr float kLargest = 1e9F;
      number = value >= 0 && value <= kLargest ? std::optional(std::llround(value)) : std::nullopt;
    }
  }
  core::require<UserError>(number.has_value(), "checkpoint", "{}: the optimizer does not say how many steps it made{}",
                           rank.archive->file(), kOrWeightsOnly);
  core::require<UserError>(!step_ || *step_ == *number, "checkpoint",
                           "{}: its optimizer made {} steps, another part of it {}; the files are of different "
                           "checkpoints, copy them again",
                           rank.archive->file(), *number, step_.value_or(0));
  step_ = number;
}

}  // namespace tessera::checkpoint

#pragma once

#include "checkpoint/import_source.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tessera::checkpoint {

/// Ends messages about an optimizer state that cannot be read.
constexpr const char* kOrWeightsOnly = "; --weights_only imports the weights alone";

/// Names in a directory that end so, sorted.
std::vector<std::string> names_ending(const std::string& directory, std::string_view suffix);

/// One group's state, as every rank has its partition of it.
struct FlatGroup {
  std::vector<io::TorchTensor> master;
  std::vector<io::TorchTensor> exp_avg;  ///< empty: no step was made, and the moments are zero
  std::vector<io::TorchTensor> exp_avg_sq;
  std::vector<std::int64_t> gaps;   ///< padding after each parameter; empty: none
  std::int64_t partition_size = 0;  ///< elements per rank, padding included
};

/// The files *_optim_states.pt of a checkpoint: one per rank, the same groups in each.
class DeepSpeedRanks {
 public:
  /// Opens the files into `contents`. Throws UserError where one is missing or of another kind of checkpoint.
  DeepSpeedRanks(ImportSource::Contents& contents, std::string directory);

  [[nodiscard]] int count() const { return static_cast<int>(ranks_.size()); }
  [[nodiscard]] int stage() const { return stage_; }
  /// Of DeepSpeed's list of groups. Throws UserError where the ranks' parts do not fit each other.
  FlatGroup group(std::size_t index);
  /// Updates applied, as the groups read so far say.
  [[nodiscard]] std::int64_t optimizer_step() const { return step_.value_or(0); }
  /// A group's settings (lr, betas and so on); null where the checkpoint has none.
  [[nodiscard]] const io::PickleValue* settings(std::size_t index) const;

 private:
  struct Rank {
    const io::TorchArchive* archive = nullptr;
    const io::PickleValue* state = nullptr;  ///< optimizer_state_dict
  };

  void open(ImportSource::Contents& contents);
  void read_stage();
  const io::PickleValue* find_moments(const Rank& rank, std::size_t index) const;
  void add_moments(const Rank& rank, std::size_t index, FlatGroup& group);
  void note_step(const Rank& rank, const io::PickleValue* step);

  std::string directory_;
  std::vector<Rank> ranks_;
  int stage_ = 0;
  bool keeps_padding_ = false;  ///< the masters' padding is in the file
  std::optional<std::int64_t> step_;
};

}  // namespace tessera::checkpoint

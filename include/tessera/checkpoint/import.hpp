#pragma once

#include "tessera/io/file_system.hpp"
#include "tessera/state/run_state.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

// Checkpoints of other programs, as checkpoints of ours.

namespace tessera::checkpoint {

/// What a source says of the run that it comes from. What it does not say is not there.
struct ImportFacts {
  std::string kind;                    ///< "a DeepSpeed ZeRO-2 checkpoint of 4 ranks", for people
  bool of_deepspeed = false;           ///< rather than a file of weights
  bool has_optimizer = false;          ///< masters, moments and steps; else weights alone
  std::optional<state::RunState> run;  ///< of our own program, where it wrote the file
  std::optional<std::int64_t> epochs_done;
  std::int64_t global_step = 0;  ///< optimizer steps done, skipped ones too
  std::int64_t skipped_steps = 0;
  std::int64_t optimizer_step = 0;  ///< updates applied
  std::optional<std::int64_t> effective_batch;
  std::optional<std::string> dataset;  ///< as the reference pipeline calls it
  std::optional<std::int64_t> input_size;
  std::optional<std::int64_t> epochs;
  std::optional<double> warmup_epochs;
  std::optional<double> peak_lr;
  std::optional<double> min_lr;
  int world_size = 0;
  int zero_stage = 0;
  std::vector<std::string> notes{};  ///< settings of the source's optimizer that the run here should have too
};

struct NamedShape {
  std::string name;
  std::vector<std::int64_t> shape;
};

struct ImportOptions {
  bool weights_only = false;  ///< the optimizer's state is left where it is
};

/// Something that another program saved: a DeepSpeed ZeRO-1 or -2 checkpoint in bf16, a file of torch.save with a
/// model's state dict, or safetensors. Memory-mapped, and nothing in it is run.
class ImportSource {
 public:
  /// `path` is a DeepSpeed checkpoint (the directory with *_model_states.pt, or the one above with `latest`), a
  /// .pth, .pt, .bin, .h5 (consolidated) or .safetensors file, or a directory with safetensors. Throws UserError that
  /// says what is wrong.
  ImportSource(const std::string& path, const ImportOptions& options);
  ImportSource(const ImportSource&) = delete;
  ImportSource& operator=(const ImportSource&) = delete;
  ImportSource(ImportSource&&) = delete;
  ImportSource& operator=(ImportSource&&) = delete;
  ~ImportSource();

  [[nodiscard]] const ImportFacts& facts() const;
  /// Every parameter of the source, in its order.
  [[nodiscard]] std::vector<NamedShape> parameters() const;
  /// Null where the source has none of this name.
  [[nodiscard]] const std::vector<std::int64_t>* shape_of(const std::string& name) const;

  /// Holds the source against what a model has. Returns what the source has besides and images have no use for (a token
  /// embedding, a language model's head). Throws one UserError that lists what is missing, unexpected or of another
  /// shape.
  [[nodiscard]] std::vector<std::string> match(const std::vector<NamedShape>& wanted) const;
  /// As many elements of a weight as `values` has, from `begin` on, as fp32.
  void read_floats(const std::string& name, std::int64_t begin, std::span<float> values) const;

  class Contents;
  [[nodiscard]] const Contents& contents() const { return *contents_; }

 private:
  std::unique_ptr<Contents> contents_;
};

struct ImportRequest {
  std::string run_dir;
  std::string name = "imported";       ///< of the checkpoint
  std::vector<NamedShape> parameters;  ///< what the model trains, in its order
  state::RunState run;
  bool ignore_checksums = false;  ///< of the source's archives
  std::function<void(const char* what, std::int64_t done_bytes, std::int64_t total_bytes)> progress{};
  std::string created;
  io::FileSystem files;
};

struct ImportResult {
  std::string path;
  std::int64_t bytes = 0;
  std::int64_t num_parameters = 0;
  std::vector<std::string> passed_over;  ///< what the source has and the model has no use for
  std::string warning;
};

/// Writes run_dir/checkpoint-NAME as save() does, in the memory of one piece. With the source's optimizer state: bf16
/// weights, fp32 masters and moments, bit for bit. Without: the weights widened to fp32, which are their own masters,
/// and moments of zero.
///
/// Before anything is written the source is held against `parameters` (the token embedding and a language model's head
/// may be there besides, and are passed over), against its checksums where it has any, and its masters against its
/// weights, which must be theirs rounded: that tells that partitions were put together as they were taken apart. Throws
/// UserError.
ImportResult import_checkpoint(const ImportSource& source, const ImportRequest& request);

}  // namespace tessera::checkpoint

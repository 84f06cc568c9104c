#pragma once

#include "tessera/config/run_config.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::config {

enum class Verb { kFinetune, kLinprobe, kEval, kPlan, kConfig, kCompare, kReport, kTopology };

/// What was not given and comes from the checkpoint, through fill_from_checkpoint().
struct OpenSettings {
  bool shape = false;
  bool dataset = false;
  bool input_size = false;
  bool patch_size = false;
};

/// `tessera eval`.
struct EvalConfig {
  std::string checkpoint;   ///< a checkpoint directory, a .safetensors file, or a directory laid out as Hugging Face's
  std::string backbone;     ///< of a linear probe's checkpoint, where it is not where it was; empty: where it was
  std::string csv;          ///< where to write the figures; empty: nowhere
  std::string predictions;  ///< where to write what was made of each image, .csv or .jsonl; empty: nowhere
};

/// An amount of memory.
struct ByteCount {
  std::int64_t bytes = 0;
};

/// `tessera plan`; `tessera config` takes the world size alone.
struct PlanConfig {
  std::optional<int> world_size;  ///< `plan` always has one: 1 where none was given
  std::optional<ByteCount> gpu_memory;
  double tflops = 0;      ///< of a rank, 10^12 operations a second; 0: not known
  int gpus_per_node = 8;  ///< these three for a prediction at many GPUs, which takes a rate
  std::optional<ByteCount> gpu_link = ByteCount{450'000'000'000};  ///< bytes/s of a GPU within its node
  std::optional<ByteCount> node_link = ByteCount{50'000'000'000};  ///< bytes/s of the network, a GPU
  bool linprobe = false;                                           ///< plan a linear probe in place of a fine-tuning
};

/// `tessera topology`.
struct TopologyConfig {
  bool no_measure = false;
  std::optional<ByteCount> message_size = ByteCount{std::int64_t{64} << 20U};  ///< of links and collectives
};

/// The page has as many colours for runs.
constexpr std::size_t kMostReportedRuns = 8;

/// `tessera compare` and `tessera report`.
struct RunsConfig {
  std::vector<std::string> directories;
  double tolerance = 0.01;  ///< `compare`: relative difference from which curves part
  std::string output;       ///< the file to make; empty: none, and of `report` report.html in the first directory
};

/// What the command line asks for, checked as far as it can be without knowing the number of ranks.
struct Command {
  Verb verb = Verb::kFinetune;
  std::string text;                ///< --help and --version: print this on stdout and end with status 0
  std::vector<std::string> notes;  ///< what was decided for the user, for people to read on rank 0
  RunConfig run;
  EvalConfig eval;
  OpenSettings open;  ///< of `eval`, and of `linprobe` with --finetune_checkpoint
  PlanConfig plan;
  RunsConfig runs;
  TopologyConfig topology;
  bool json = false;  ///< what is printed on stdout is JSON, where it need not be
};

/// Every setting at its default, which for `linprobe` is MAE's recipe.
Command defaults_of(Verb verb);

/// Reads flags, the JSON that --config names, and the model's config.json; checks everything that needs no MPI.
/// Throws one UserError that lists every problem found.
Command parse_command_line(int argc, const char* const* argv);

/// What depends on the number of ranks: solves train_batch_size = batch_size x accum_iter x ranks for what was left
/// open, and checks it and the learning rate. Throws one UserError that lists every problem found.
void validate_world(RunConfig& config, int world_size);

/// What a checkpoint says of the run that wrote it: empty or 0 where it says nothing.
struct RecordedRun {
  std::string model_config_json;
  std::string dataset;
  std::int64_t input_size = 0;
  std::int64_t patch_size = 0;
  std::optional<Pooling> pooling{};
};

/// Fills what is open from what the checkpoint records, and checks the whole. Throws one UserError that lists every
/// problem found: what neither says, sizes that do not fit, a patch size other than the trained one, and in `eval` a
/// head that read something else.
void fill_from_checkpoint(Command& command, const RecordedRun& recorded);

/// "0.1.0".
std::string_view version();

}  // namespace tessera::config

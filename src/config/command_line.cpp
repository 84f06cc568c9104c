#include "tessera/config/command_line.hpp"

#include "config/deepspeed_json.hpp"
#include "config/flags.hpp"
#include "config/help.hpp"
#include "config/validation.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/suggest.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

namespace tessera::config {
namespace {

const VerbInfo& find_verb(const std::string& word) {
  std::vector<std::string> names;
  for (const VerbInfo& verb : verbs()) {
    if (verb.name == word) {
      return verb;
    }
    names.emplace_back(verb.name);
  }
  const std::string all = core::list_of(names, "and");
  if (word.starts_with('-')) {
    core::fail<core::UserError>("config", "the first word must be a verb, not '{}'; there are {}", word, all);
  }
  const std::string meant = core::nearest(word, names);
  core::fail<core::UserError>("config", "'{}' is no verb of tessera{}; there are {}", word,
                              meant.empty() ? "" : " (did you mean " + meant + "?)", all);
}

bool asks(const std::vector<std::string>& words, std::string_view flag) {
  return std::ranges::find(words, flag) != words.end();
}

/// Sets the fields, and remembers which were given.
Origins assign_flags(const GivenFlags& given, const std::vector<Setting>& settings, Problems& problems) {
  Origins origins;
  for (const Setting& setting : settings) {
    const auto flag = given.find(std::string(setting.name));
    if (flag == given.end()) {
      continue;
    }
    origins.emplace(setting.name, "--" + std::string(setting.name));
    const std::string problem = assign_text(setting.field, flag->second);
    if (!problem.empty()) {
      problems.add("--{} {}", setting.name, problem);
    }
  }
  return origins;
}

/// The text of --config's file, or nothing after a problem.
std::optional<JsonSource> read_json(const ZeroConfig& zero, Problems& problems) {
  std::ifstream file(zero.config_file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) {
    problems.add("--config {}: the file cannot be read", zero.config_file);
    return std::nullopt;
  }
  return JsonSource{text, zero.config_file};
}

/// --deepspeed without a file: its users mean ZeRO-2.
void apply_deepspeed_flag(ZeroConfig& zero, const Origins& origins, Problems& problems) {
  if (!zero.deepspeed) {
    return;
  }
  if (origins.contains("zero_stage") && zero.stage != 2) {
    problems.add("--deepspeed without --config means --zero_stage 2, but --zero_stage is {}: leave --deepspeed out",
                 zero.stage);
  }
  zero.stage = 2;
}

/// What the user left open, decided here, and said.
void decide(Command& command, const Origins& origins) {
  ModelConfig& model = command.run.model;
  if (command.verb == Verb::kPlan && !command.plan.world_size) {
    command.plan.world_size = 1;
    command.notes.emplace_back("--world_size was not given: the plan is for one rank");
  }
  if (command.verb == Verb::kEval || !command.run.probe.finetune_checkpoint.empty()) {
    command.open = {model.pretrained_model_path.empty() && model.model_config.empty(), !origins.contains("dataset"),
                    !origins.contains("input_size"), !origins.contains("patch_size")};
  } else if (!model.load_pretrained && !model.random_init) {
    model.random_init = true;
    if (!model.pretrained_model_path.empty() && command.run.output.resume.empty()) {
      command.notes.push_back(
          fmt::format("neither --load_pretrained nor --random_init was given: weights start at "
                      "random, and {} gives the shape alone",
                      model.pretrained_model_path));
    }
  }
}

/// What verbs that are told of a run's settings have in common.
void check_run(Checked checked) {
  settle_model(checked);
  check_settings(checked);
  decide(checked.command, checked.origins);
  const OpenSettings& open = checked.command.open;
  if (!open.shape && !open.input_size && !open.patch_size) {
    check_geometry(checked.command.run, checked.problems);
  }
}

}  // namespace

// MAE's main_linprobe.py, with the reference pipeline's batch.
Command defaults_of(Verb verb) {
  Command command;
  command.verb = verb;
  if (verb == Verb::kLinprobe) {
    OptimizerConfig& optimizer = command.run.optimizer;
    optimizer.opt = OptimizerKind::kLars;
    optimizer.epochs = 90;
    optimizer.blr = 0.1;
    optimizer.min_lr = 0;
    optimizer.weight_decay = 0;
    optimizer.smoothing = 0;
    command.run.data.batch_size = 128;
  }
  return command;
}

Command parse_command_line(int argc, const char* const* argv) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  Command command;
  if (words.empty()) {
    core::fail<core::UserError>("config", "a verb is missing\n\n{}", program_help());
  }
  if (words.front() == "--version" || asks(words, "--version")) {
    command.text = fmt::format("tessera {}\n", version());
    return command;
  }
  if (words.front() == "--help" || words.front() == "-h" || words.front() == "help") {
    command.text = program_help();
    return command;
  }
  const VerbInfo& verb = find_verb(words.front());
  words.erase(words.begin());
  command = defaults_of(verb.verb == Verb::kPlan && asks(words, "--linprobe") ? Verb::kLinprobe : verb.verb);
  command.verb = verb.verb;
  if (asks(words, "--help") || asks(words, "-h")) {
    command.text = verb_help(verb);
    return command;
  }

  Problems problems;
  const std::vector<Setting> settings = describe(command);
  GivenWords given = read_flags(words, verb, settings, problems);
  command.runs.directories = std::move(given.operands);
  Origins origins = assign_flags(given.flags, settings, problems);
  if (command.run.zero.config_file.empty()) {
    apply_deepspeed_flag(command.run.zero, origins, problems);
  } else if (const auto source = read_json(command.run.zero, problems)) {
    apply_deepspeed_json(*source, settings, command.run.data, origins, problems);
  }
  const Checked checked{command, origins, problems};
  check_ranges(settings, checked);
  check_required(settings, checked);
  if ((verb.bit & kForAll) != 0) {
    check_run(checked);
  } else if (!verb.operands.empty()) {
    check_runs(checked);
  }
  problems.raise(fmt::format("tessera {}", verb.name));
  return command;
}

std::string_view version() { return TESSERA_VERSION; }

}  // namespace tessera::config

#include "command_line.hpp"
#include "json_output.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/core/table.hpp"
#include "tessera/core/units.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <ctime>
#include <iomanip>
#include <sstream>

namespace tessera::tools {
namespace {

using checkpoint::CheckpointEntry;

std::string format_age(const std::string& created) {
  std::tm utc{};
  std::istringstream text(created);
  text >> std::get_time(&utc, "%Y-%m-%dT%H:%M:%SZ");
  if (text.fail()) {
    return "?";
  }
  const auto seconds = static_cast<std::int64_t>(std::difftime(std::time(nullptr), ::timegm(&utc)));
  constexpr std::int64_t kMinute = 60;
  constexpr std::int64_t kHour = 60 * kMinute;
  constexpr std::int64_t kDay = 24 * kHour;
  if (seconds < 2 * kMinute) {
    return fmt::format("{} s", seconds);
  }
  if (seconds < 2 * kHour) {
    return fmt::format("{} min", seconds / kMinute);
  }
  return seconds < 2 * kDay ? fmt::format("{} h", seconds / kHour) : fmt::format("{} d", seconds / kDay);
}

std::string accuracy(const CheckpointEntry& entry) {
  return entry.run.best_accuracy > 0 ? fmt::format("{:.2f}%", entry.run.best_accuracy) : "-";
}

void print_json(const std::vector<CheckpointEntry>& entries, const std::string& latest) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const CheckpointEntry& entry : entries) {
    nlohmann::ordered_json line{
        {"name", entry.name}, {"path", entry.path}, {"whole", entry.whole()}, {"latest", entry.path == latest}};
    if (entry.whole()) {
      line.update({{"global_step", entry.run.global_step},
                   {"epoch", entry.run.epoch},
                   {"best_accuracy", entry.run.best_accuracy},
                   {"bytes", entry.bytes},
                   {"world_size", entry.run.world_size},
                   {"created", entry.created}});
    } else {
      line["problem"] = entry.problem;
    }
    list.push_back(std::move(line));
  }
  put_json(list);
}

void print_table(const std::vector<CheckpointEntry>& entries, const std::string& latest) {
  core::Table table({{"checkpoint"},
                     {"step", true},
                     {"epoch", true},
                     {"best acc", true},
                     {"size", true},
                     {"ranks", true},
                     {"age", true},
                     {"state"}});
  for (const CheckpointEntry& entry : entries) {
    if (!entry.whole()) {
      table.add({entry.name, "-", "-", "-", "-", "-", "-", "not whole"});
      continue;
    }
    const std::string epoch = entry.run.step_in_epoch == 0
                                  ? std::to_string(entry.run.epoch)
                                  : fmt::format("{} + {} steps", entry.run.epoch, entry.run.step_in_epoch);
    table.add({entry.name, core::format_count(entry.run.global_step), epoch, accuracy(entry),
               core::format_bytes(static_cast<double>(entry.bytes)), std::to_string(entry.run.world_size),
               format_age(entry.created), entry.path == latest ? "whole, latest" : "whole"});
  }
  std::fputs(table.text().c_str(), stdout);
}

int run(const po::variables_map& values, const core::Log& log) {
  const std::string run_dir = run_directory_of(values, "tessera-ckpt ls");
  const auto entries = checkpoint::list_checkpoints(run_dir);
  const std::string latest = checkpoint::find_latest(run_dir, entries).value_or("");
  if (values.count("json") > 0) {
    print_json(entries, latest);
    return 0;
  }
  if (entries.empty()) {
    log.info("{} holds no checkpoints", run_dir);
    return 0;
  }
  print_table(entries, latest);
  for (const CheckpointEntry& entry : entries) {
    if (!entry.whole()) {
      log.warn("{}", entry.problem);
    }
  }
  return 0;
}

}  // namespace

Verb ls_verb() {
  Verb verb;
  verb.name = "ls";
  verb.summary = "the checkpoints of a run, with their steps, accuracy, size and age";
  verb.usage = "RUN_DIR [--json]";
  verb.details =
      "'latest' marks the one from which `tessera finetune --resume auto` goes on. Whether a checkpoint is whole is\n"
      "told from its manifest and the size of its files; `verify` reads every byte.\n";
  verb.examples = "    tessera-ckpt ls results/quickstart\n    tessera-ckpt ls results/quickstart --json\n";
  verb.flags.add_options()("RUN_DIR", po::value<std::string>())("json", "as JSON, for programs")(
      "quiet", "nothing on stderr but warnings");
  verb.positional = {"RUN_DIR"};
  verb.run = run;
  return verb;
}

}  // namespace tessera::tools

#include "train/run_files.hpp"

#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/config/command_line.hpp"
#include "tessera/config/effective_settings.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/file_system.hpp"
#include "tessera/report/evaluation_text.hpp"
#include "tessera/report/records.hpp"
#include "tessera/report/saved_evaluation.hpp"
#include "train/environment.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <filesystem>

namespace tessera::train {
namespace {

namespace fs = std::filesystem;

void require_writable(const char* flag, const std::string& directory) {
  io::FileSystem().require_writable("train", std::string(flag) + " " + directory, directory);
}

bool holds_a_run(const std::string& directory) {
  return fs::exists(fs::path(directory) / "steps.jsonl") || !checkpoint::list_checkpoints(directory).empty();
}

std::optional<std::string> find_resumed(const config::OutputConfig& output, const core::Log& log) {
  if (output.resume == "auto") {
    core::require<core::UserError>(!output.output_dir.empty(), "train", "--resume auto needs --output_dir to look in");
    const auto entries = checkpoint::list_checkpoints(output.output_dir);
    for (const checkpoint::CheckpointEntry& entry : entries) {
      if (!entry.whole()) {
        log.warn("{} is passed over: {}", entry.name, entry.problem);
      }
    }
    // To begin anew would end the run that is there, for what may be a file system that has trouble.
    core::require<core::UserError>(entries.empty() || entries.back().whole(), "train",
                                   "no checkpoint in {} is whole; where they are lost, move them away to begin anew",
                                   output.output_dir);
    return checkpoint::find_latest(output.output_dir, entries);
  }
  return output.resume.empty() ? std::nullopt : std::optional(output.resume);
}

}  // namespace

std::optional<std::string> prepare_output(const config::RunConfig& config, bool is_first, const core::Log& log) {
  if (!is_first) {
    return std::nullopt;
  }
  const std::string& directory = config.output.output_dir;
  if (!config.output.log_dir.empty() && !config.eval_only) {
    require_writable("--log_dir", config.output.log_dir);
  }
  if (!directory.empty() && !config.eval_only) {
    require_writable("--output_dir", directory);
    core::require<core::UserError>(
        !config.output.resume.empty() || !holds_a_run(directory), "train",
        "--output_dir {} holds a run already; --resume auto goes on with it, another directory begins anew", directory);
    for (const std::string& line : checkpoint::recover(directory)) {
      log.warn("{}", line);
    }
  }
  std::optional<std::string> checkpoint = find_resumed(config.output, log);
  if (config.output.resume == "auto" && !checkpoint) {
    core::require<core::UserError>(!config.eval_only, "train", "--eval --resume auto: no checkpoint in {}", directory);
    log.info("no checkpoint in {}: starting from the beginning", directory);
  }
  return checkpoint;
}

std::optional<std::string> share_path(const std::optional<std::string>& path, const topology::Group& world) {
  std::string shared = world.broadcast(path.value_or(""), 0);
  return shared.empty() ? std::nullopt : std::optional(std::move(shared));
}

void write_args(const config::RunConfig& config, const Platform& platform) {
  if (config.output.output_dir.empty() || config.eval_only) {
    return;
  }
  std::vector<std::string> hosts = platform.mesh.hosts;
  std::ranges::sort(hosts);
  hosts.erase(std::ranges::unique(hosts).begin(), hosts.end());
  const std::string text = config::to_json(config, {platform.world(), hosts, versions_of(this_environment())});
  io::FileSystem().atomic_write((fs::path(config.output.output_dir) / "args.json").string(), text);
}

void write_memory_plan(const config::RunConfig& config, const Platform& platform, const engine::MemoryPlan& plan) {
  if (config.output.output_dir.empty() || config.eval_only) {
    return;
  }
  const auto to_planned = [](const std::vector<engine::MemoryItem>& items) {
    std::vector<report::PlannedBytes> planned;
    for (const engine::MemoryItem& item : items) {
      planned.push_back({item.name, item.bytes, item.what});
    }
    return planned;
  };
  const report::PlanRecord record{platform.device.is_cpu() ? "cpu" : "cuda", to_planned(plan.items),
                                  to_planned(plan.host_items)};
  io::FileSystem().atomic_write((fs::path(config.output.output_dir) / "memory_plan.json").string(),
                                report::to_json_line(record) + "\n");
}

std::vector<std::string> image_names(const data::Dataset& dataset, config::DatasetKind kind) {
  std::vector<std::string> names;
  if (kind == config::DatasetKind::kImageFolder) {
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      names.push_back(dataset.name(i));
    }
  }
  return names;
}

void write_evaluation(const config::RunConfig& config, const Platform& platform, const EvaluatedSet& set,
                      const data::Dataset& dataset) {
  if (config.output.output_dir.empty() || !platform.is_first()) {
    return;
  }
  const fs::path directory = config.output.output_dir;
  const io::FileSystem files;
  files.atomic_write((directory / report::kEvaluationFile).string(), report::to_json_line(set.summary) + "\n");
  files.atomic_write(
      (directory / report::kPredictionsFile).string(),
      report::predictions_text(report::kPredictionsFile, set.outcomes, image_names(dataset, config.data.dataset)));
}

void require_writable_file(const char* flag, const std::string& path) {
  if (path.empty()) {
    return;
  }
  core::require<core::UserError>(!fs::is_directory(path), "train", "{} {} is a directory: name a file", flag, path);
  require_writable(flag, io::parent_directory(path));
}

void print_evaluation(const report::Evaluation& evaluation, const Platform& platform, const core::Log& log) {
  log.info("{}", report::to_table(evaluation));
  if (platform.is_first()) {
    std::puts(report::to_json_line(evaluation).c_str());
  }
}

// total_time as Python prints a timedelta of less than a day.
void write_final_results(const std::string& output_dir, const state::RunState& run, const report::Evaluation& last,
                         double seconds) {
  if (output_dir.empty()) {
    return;
  }
  const auto whole = static_cast<std::int64_t>(seconds);
  const nlohmann::ordered_json results = {
      {"best_acc1", run.best_accuracy},
      {"final_acc1", last.acc1},
      {"final_acc5", last.acc5},
      {"final_loss", last.loss},
      {"total_epochs", run.epoch},
      {"total_time", fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)},
      {"backbone", run.backbone}};
  io::FileSystem().atomic_write((fs::path(output_dir) / "final_results.json").string(), results.dump(2) + "\n");
}

}  // namespace tessera::train

#include "tessera/report/run.hpp"

#include "tessera/core/error.hpp"
#include "tessera/io/file_system.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>

namespace tessera::report {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

double number(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::int64_t whole(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<std::int64_t>() : 0;
}

bool flag(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_boolean() && found->get<bool>();
}

StepRecord to_step(const Json& line) {
  StepRecord record;
  record.step = whole(line, "step");
  record.epoch = whole(line, "epoch");
  record.loss = number(line, "loss");
  record.accuracy = number(line, "acc1");
  record.lr = number(line, "lr");
  record.grad_norm = number(line, "grad_norm");
  record.skipped = flag(line, "skipped");
  record.seconds = number(line, "seconds");
  record.tokens_per_s = number(line, "tokens_per_s");
  record.mfu = number(line, "mfu");
  record.peak_bytes = whole(line, "peak_bytes");
  const Json parts = line.value("parts", Json::object());
  for (std::size_t i = 0; i < kStepParts.size(); ++i) {
    record.part_seconds[i] = number(parts, std::string(kStepParts[i]).c_str());
  }
  return record;
}

EpochRecord to_epoch(const Json& line) {
  EpochRecord record;
  record.train_lr = number(line, "train_lr");
  record.train_acc1 = number(line, "train_acc1");
  record.train_loss = number(line, "train_loss");
  record.test_loss = number(line, "test_loss");
  record.test_acc1 = number(line, "test_acc1");
  record.test_acc5 = number(line, "test_acc5");
  record.epoch = whole(line, "epoch");
  record.end_step = whole(line, "end_step");
  record.num_parameters = whole(line, "n_parameters");
  record.num_trained = whole(line, "n_trainable_parameters");
  record.seconds = number(line, "seconds");
  record.eval_seconds = number(line, "eval_seconds");
  record.tokens_per_s = number(line, "tokens_per_s");
  record.mfu = number(line, "mfu");
  record.peak_bytes = whole(line, "peak_bytes");
  record.skipped_steps = whole(line, "skipped_steps");
  return record;
}

SaveRecord to_save(const Json& element) {
  SaveRecord record;
  record.name = element.value("name", "");
  record.step = whole(element, "step");
  record.bytes = whole(element, "bytes");
  record.stall_seconds = number(element, "stall_seconds");
  record.waited_seconds = number(element, "waited_seconds");
  record.snapshot_seconds = number(element, "snapshot_seconds");
  record.write_seconds = number(element, "write_seconds");
  record.seconds = number(element, "seconds");
  record.async = flag(element, "async");
  return record;
}

// Hands over each line as an object.
template <class Use>
void for_each_line(const fs::path& path, Use use) {
  std::ifstream file(path);
  std::int64_t number = 0;
  for (std::string text; std::getline(file, text);) {
    ++number;
    const Json line = Json::parse(text, nullptr, false);
    if (!line.is_object() && file.eof()) {
      return;  // it is being written
    }
    core::require<core::UserError>(line.is_object(), "report", "line {} of {} is not a JSON object", number,
                                   path.string());
    use(line);
  }
}

void flatten(const Json& object, const std::string& prefix, std::map<std::string, std::string>& settings) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      flatten(value, prefix + key + ".", settings);
    } else {
      settings[prefix + key] = value.is_string() ? value.get<std::string>() : value.dump();
    }
  }
}

// A file of one JSON object; null where there is none.
Json read_object(const fs::path& path) {
  if (!fs::exists(path)) {
    return {};
  }
  constexpr std::int64_t kMostBytes = std::int64_t{64} << 20U;
  Json json = Json::parse(io::read_text_file(path.string(), kMostBytes), nullptr, false);
  core::require<core::UserError>(json.is_object(), "report", "{} is not a JSON object", path.string());
  return json;
}

std::map<std::string, std::string> read_settings(const fs::path& path) {
  std::map<std::string, std::string> settings;
  if (const Json json = read_object(path); json.is_object()) {
    flatten(json, "", settings);
  }
  return settings;
}

std::vector<PlannedBytes> to_planned_bytes(const Json& list) {
  std::vector<PlannedBytes> items;
  for (const Json& item : list) {
    items.push_back({item.value("name", ""), whole(item, "bytes"), item.value("what", "")});
  }
  return items;
}

std::optional<PlanRecord> read_plan(const fs::path& path) {
  const Json json = read_object(path);
  if (!json.is_object()) {
    return std::nullopt;
  }
  return PlanRecord{json.value("device", ""), to_planned_bytes(json.value("items", Json::array())),
                    to_planned_bytes(json.value("host_items", Json::array()))};
}

}  // namespace

std::int64_t RunRecord::peak_bytes() const {
  std::int64_t peak = 0;
  for (const StepRecord& step : steps) {
    peak = std::max(peak, step.peak_bytes);
  }
  for (const EpochRecord& epoch : epochs) {
    peak = std::max(peak, epoch.peak_bytes);
  }
  return peak;
}

RunRecord read_run(const std::string& directory) {
  const fs::path path(directory);
  core::require<core::UserError>(fs::is_directory(path), "report", "{} is no directory", directory);
  core::require<core::UserError>(fs::exists(path / "steps.jsonl") || fs::exists(path / "log.txt"), "report",
                                 "{} is not the directory of a run: it has neither steps.jsonl nor log.txt", directory);
  RunRecord run;
  run.directory = directory;
  run.settings = read_settings(path / "args.json");
  run.plan = read_plan(path / "memory_plan.json");
  for_each_line(path / "steps.jsonl", [&run](const Json& line) { run.steps.push_back(to_step(line)); });
  for_each_line(path / "log.txt", [&run](const Json& line) {
    if (line.contains("train_loss")) {  // else it holds the saves of a run in which no epoch has ended
      run.epochs.push_back(to_epoch(line));
    }
    for (const Json& save : line.value("saves", Json::array())) {
      run.saves.push_back(to_save(save));
    }
  });
  return run;
}

std::vector<SettingDifference> settings_that_differ(const std::vector<RunRecord>& runs) {
  std::set<std::string> names;
  for (const RunRecord& run : runs) {
    for (const auto& [name, value] : run.settings) {
      names.insert(name);
    }
  }
  names.erase("output_dir");
  names.erase("log_dir");
  std::vector<SettingDifference> differences;
  for (const std::string& name : names) {
    SettingDifference difference{name, {}};
    for (const RunRecord& run : runs) {
      const auto found = run.settings.find(name);
      difference.values.push_back(found != run.settings.end() ? found->second : "-");
    }
    if (std::ranges::adjacent_find(difference.values, std::ranges::not_equal_to()) != difference.values.end()) {
      differences.push_back(std::move(difference));
    }
  }
  return differences;
}

}  // namespace tessera::report

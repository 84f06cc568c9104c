#include "train/run_log.hpp"

#include "tessera/core/error.hpp"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::train {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kEndOfSaves = "]}\n";  // and of a line of log.txt

// Lines whose `key` is at least `first` belong to steps that will be run again; a torn last line goes too.
void drop_from(const std::filesystem::path& path, const char* key, std::int64_t first) {
  std::ifstream in(path);
  if (!in) {
    return;
  }
  std::vector<std::string> kept;
  for (std::string line; std::getline(in, line);) {
    const Json object = Json::parse(line, nullptr, false);
    if (object.is_object() && object.contains(key) && object[key].is_number() &&
        object[key].get<std::int64_t>() < first) {
      kept.push_back(line);
    }
  }
  in.close();
  const std::filesystem::path next = path.string() + ".tmp";
  std::ofstream out(next, std::ios::trunc);
  for (const std::string& line : kept) {
    out << line << '\n';
  }
  out.close();
  core::require<core::UserError>(out.good(), "train", "{} cannot be written: {}", next.string(), std::strerror(errno));
  std::filesystem::rename(next, path);
}

std::ofstream open(const std::filesystem::path& path) {
  std::ofstream out(path, std::ios::app);
  core::require<core::UserError>(out.good(), "train", "{} cannot be written: {}", path.string(), std::strerror(errno));
  return out;
}

}  // namespace

RunLog::RunLog(const config::OutputConfig& output, std::int64_t first_step, std::int64_t first_epoch) {
  if (const std::string& events = output.log_dir.empty() ? output.output_dir : output.log_dir; !events.empty()) {
    events_ = EventFile(events, first_step);
  }
  if (output.output_dir.empty()) {
    return;
  }
  const std::filesystem::path directory = output.output_dir;
  drop_from(directory / "steps.jsonl", "step", first_step);
  drop_from(directory / "log.txt", "epoch", first_epoch);
  epochs_path_ = (directory / "log.txt").string();
  steps_ = open(directory / "steps.jsonl");
  epochs_ = open(directory / "log.txt");
}

void RunLog::step(const report::StepRecord& record) {
  events_.add(record.step, {{"loss", record.loss},
                            {"acc1", record.accuracy},
                            {"lr", record.lr},
                            {"grad_norm", record.grad_norm},
                            {"perf/tokens_per_s", record.tokens_per_s},
                            {"perf/mfu", record.mfu},
                            {"perf/peak_bytes", static_cast<double>(record.peak_bytes)}});
  if (!steps_.is_open()) {
    return;
  }
  steps_ << report::to_json_line(record) << '\n' << std::flush;
}

void RunLog::epoch(const report::EpochRecord& record) {
  events_.add(record.end_step, {{"perf/test_acc1", record.test_acc1},
                                {"perf/test_acc5", record.test_acc5},
                                {"perf/test_loss", record.test_loss}});
  if (!epochs_.is_open()) {
    return;
  }
  std::string text = report::to_json_line(record);
  text.pop_back();
  epochs_ << text << ",\"saves\":[" << std::exchange(saves_, "") << kEndOfSaves << std::flush;
}

void RunLog::save(const report::SaveRecord& record) {
  if (!epochs_.is_open()) {
    return;
  }
  saves_ += (saves_.empty() ? "" : ",") + report::to_json_line(record);
}

// The list of saves stands last in a line, so that it can grow in place.
void RunLog::finish(std::int64_t epoch) {
  if (saves_.empty() || !epochs_.is_open()) {
    return;
  }
  epochs_.close();
  std::fstream file(epochs_path_, std::ios::in | std::ios::out | std::ios::binary);
  std::string end(kEndOfSaves.size() + 1, '\0');
  file.seekg(-static_cast<std::streamoff>(end.size()), std::ios::end);
  file.read(end.data(), static_cast<std::streamsize>(end.size()));
  const bool has_line = file.good() && end.ends_with(kEndOfSaves);
  file.clear();
  if (has_line) {
    file.seekp(-static_cast<std::streamoff>(kEndOfSaves.size()), std::ios::end);
    file << (end.front() == '[' ? "" : ",") << saves_ << kEndOfSaves;
  } else {
    file.seekp(0, std::ios::end);
    file << "{\"epoch\":" << epoch << ",\"saves\":[" << saves_ << kEndOfSaves;
  }
  saves_.clear();
}

}  // namespace tessera::train

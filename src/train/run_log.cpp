#include "train/run_log.hpp"

#include "tessera/core/error.hpp"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::train {
namespace {

using Json = nlohmann::ordered_json;  // which writes what is no number as null

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

void RunLog::step(const StepRecord& record) {
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
  Json line = {{"step", record.step},
               {"epoch", record.epoch},
               {"loss", record.loss},
               {"lr", record.lr},
               {"grad_norm", record.grad_norm},
               {"seconds", record.seconds},
               {"tokens_per_s", record.tokens_per_s},
               {"mfu", record.mfu},
               {"peak_bytes", record.peak_bytes},
               {"acc1", record.accuracy},
               {"parts", Json::object()}};
  for (const auto& [part, seconds] : record.parts) {
    line["parts"][part] = std::round(seconds * 1e6) / 1e6;
  }
  if (record.skipped) {
    line["skipped"] = true;
  }
  steps_ << line.dump() << '\n' << std::flush;
}

void RunLog::epoch(const EpochRecord& record) {
  events_.add(record.end_step, {{"perf/test_acc1", record.test_acc1},
                                {"perf/test_acc5", record.test_acc5},
                                {"perf/test_loss", record.test_loss}});
  if (!epochs_.is_open()) {
    return;
  }
  const Json line = {{"train_lr", record.train_lr},
                     {"train_acc1", record.train_acc1},
                     {"train_loss", record.train_loss},
                     {"test_loss", record.test_loss},
                     {"test_acc1", record.test_acc1},
                     {"test_acc5", record.test_acc5},
                     {"epoch", record.epoch},
                     {"n_parameters", record.num_parameters},
                     {"n_trainable_parameters", record.num_parameters},
                     {"seconds", record.seconds},
                     {"eval_seconds", record.eval_seconds},
                     {"tokens_per_s", record.tokens_per_s},
                     {"mfu", record.mfu},
                     {"peak_bytes", record.peak_bytes},
                     {"skipped_steps", record.skipped_steps}};
  std::string text = line.dump();
  text.pop_back();
  epochs_ << text << ",\"saves\":[" << std::exchange(saves_, "") << kEndOfSaves << std::flush;
}

void RunLog::save(const SaveRecord& record) {
  if (!epochs_.is_open()) {
    return;
  }
  const double rate = record.seconds > 0 ? static_cast<double>(record.bytes) / record.seconds / 1e9 : 0;
  const Json element = {{"name", record.name},
                        {"step", record.step},
                        {"async", record.async},
                        {"bytes", record.bytes},
                        {"stall_seconds", record.stall_seconds},
                        {"waited_seconds", record.waited_seconds},
                        {"snapshot_seconds", record.snapshot_seconds},
                        {"write_seconds", record.write_seconds},
                        {"seconds", record.seconds},
                        {"gb_per_s", rate}};
  saves_ += (saves_.empty() ? "" : ",") + element.dump();
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

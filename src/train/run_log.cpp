#include "train/run_log.hpp"

#include "tessera/core/error.hpp"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <vector>

namespace tessera::train {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no infinities; null is what readers expect in their place.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

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
  steps_ = open(directory / "steps.jsonl");
  epochs_ = open(directory / "log.txt");
}

void RunLog::step(const StepRecord& record) {
  events_.add(record.step, {{"loss", record.loss},
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
               {"loss", number(record.loss)},
               {"lr", record.lr},
               {"grad_norm", number(record.grad_norm)},
               {"seconds", record.seconds},
               {"tokens_per_s", record.tokens_per_s},
               {"mfu", record.mfu},
               {"peak_bytes", record.peak_bytes}};
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
                     {"train_acc1", number(record.train_acc1)},
                     {"train_loss", number(record.train_loss)},
                     {"test_loss", number(record.test_loss)},
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
  epochs_ << line.dump() << '\n' << std::flush;
}

}  // namespace tessera::train

#include "tessera/report/records.hpp"

#include <nlohmann/json.hpp>

#include <cmath>

namespace tessera::report {
namespace {

using Json = nlohmann::ordered_json;  // which writes what is no number as null

double to_microseconds(double seconds) { return std::round(seconds * 1e6) / 1e6; }

Json to_json(const std::vector<PlannedBytes>& items) {
  Json json = Json::array();
  for (const PlannedBytes& item : items) {
    json.push_back({{"name", item.name}, {"bytes", item.bytes}, {"what", item.what}});
  }
  return json;
}

}  // namespace

std::string to_json_line(const StepRecord& record) {
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
  for (std::size_t i = 0; i < kStepParts.size(); ++i) {
    line["parts"][std::string(kStepParts[i])] = to_microseconds(record.part_seconds[i]);
  }
  if (record.skipped) {
    line["skipped"] = true;
  }
  return line.dump();
}

std::string to_json_line(const EpochRecord& record) {
  const Json line = {{"train_lr", record.train_lr},
                     {"train_acc1", record.train_acc1},
                     {"train_loss", record.train_loss},
                     {"test_loss", record.test_loss},
                     {"test_acc1", record.test_acc1},
                     {"test_acc5", record.test_acc5},
                     {"epoch", record.epoch},
                     {"n_parameters", record.num_parameters},
                     {"n_trainable_parameters", record.num_trained},
                     {"seconds", record.seconds},
                     {"eval_seconds", record.eval_seconds},
                     {"tokens_per_s", record.tokens_per_s},
                     {"mfu", record.mfu},
                     {"peak_bytes", record.peak_bytes},
                     {"skipped_steps", record.skipped_steps},
                     {"end_step", record.end_step}};
  return line.dump();
}

std::string to_json_line(const SaveRecord& record) {
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
  return element.dump();
}

std::string to_json_line(const PlanRecord& record) {
  const Json plan = {
      {"device", record.device}, {"items", to_json(record.items)}, {"host_items", to_json(record.host_items)}};
  return plan.dump();
}

}  // namespace tessera::report

// The learning rate's schedule, and the files that tell a run's figures.
#include "support/scratch.hpp"
#include "tessera/core/error.hpp"
#include "tessera/train/schedule.hpp"
#include "train/event_file.hpp"
#include "train/run_log.hpp"
#include "train/stragglers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numbers>
#include <sstream>
#include <string>
#include <vector>

namespace tessera::train {
namespace {

TEST(Schedule, WarmsUpLinearlyAndFallsAsHalfACosine) {
  const Schedule schedule{.peak_lr = 0.8, .min_lr = 0.2, .warmup_steps = 10, .total_steps = 110};
  EXPECT_EQ(schedule.lr(0), 0.0);
  EXPECT_DOUBLE_EQ(schedule.lr(5), 0.4);
  EXPECT_DOUBLE_EQ(schedule.lr(10), 0.8);
  EXPECT_DOUBLE_EQ(schedule.lr(35), 0.2 + 0.6 * 0.5 * (1 + std::cos(std::numbers::pi / 4)));
  EXPECT_DOUBLE_EQ(schedule.lr(60), 0.5);
  EXPECT_DOUBLE_EQ(schedule.lr(110), 0.2);
  EXPECT_DOUBLE_EQ(schedule.lr(1000), 0.2);
}

TEST(Schedule, WithoutWarmUpStartsAtThePeak) {
  const Schedule schedule{.peak_lr = 1, .min_lr = 0, .warmup_steps = 0, .total_steps = 4};
  EXPECT_DOUBLE_EQ(schedule.lr(0), 1.0);
  EXPECT_NEAR(schedule.lr(2), 0.5, 1e-15);
}

TEST(Stragglers, TheSlowestThreeAreNamed) {
  const std::string text = describe_slowest({0.2, 0.5, 0.2, 0.3, 0.1}, {"a", "b", "c", "d", "e"});
  EXPECT_NE(text.find("0.2000 s in the median; slowest rank 1 on b 0.5000 s (2.50 x), rank 3 on d 0.3000 s (1.50 x), "
                      "rank 0 on a 0.2000 s (1.00 x)"),
            std::string::npos)
      << text;
}

config::OutputConfig output_to(const std::string& directory) {
  config::OutputConfig output;
  output.output_dir = directory;
  return output;
}

report::StepRecord step_record(std::int64_t step, double loss) {
  report::StepRecord record;
  record.step = step;
  record.loss = loss;
  return record;
}

std::size_t num_lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(RunLog, AResumedRunTellsEachStepOnce) {
  const test::ScratchDirectory scratch;
  const std::string steps = scratch.file("steps.jsonl");
  {
    RunLog log(output_to(scratch.path()), 0, 0);
    for (int step = 0; step < 5; ++step) {
      log.step(step_record(step, 1.5));
    }
  }
  test::write_file(steps, test::read_file(steps) + R"({"step": 5, "lo)");  // torn by a crash
  RunLog log(output_to(scratch.path()), 3, 0);
  log.step(step_record(3, 0.25));
  const std::string text = test::read_file(steps);
  EXPECT_EQ(num_lines(text), 4U);
  EXPECT_EQ(text.find("\"step\":4"), std::string::npos);
  EXPECT_NE(text.find(R"({"step":3,"epoch":0,"loss":0.25,)"), std::string::npos) << text;
}

TEST(RunLog, ANumberThatIsNoneIsNull) {
  const test::ScratchDirectory scratch;
  RunLog log(output_to(scratch.path()), 0, 0);
  log.step(step_record(0, std::numeric_limits<double>::quiet_NaN()));
  EXPECT_NE(test::read_file(scratch.file("steps.jsonl")).find("\"loss\":null"), std::string::npos);
}

report::SaveRecord save_record(const std::string& name) {
  report::SaveRecord record;
  record.name = name;
  record.bytes = 3000000000;
  record.seconds = 2;
  return record;
}

// Names of the checkpoints in each line of a log, in order.
std::vector<std::string> saves_by_line(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    std::string names;
    const std::string key = R"("name":")";
    for (std::size_t at = line.find(key); at != std::string::npos; at = line.find(key, at + 1)) {
      names += line.substr(at + key.size(), 1);
    }
    lines.push_back(names);
  }
  return lines;
}

TEST(RunLog, ASaveStandsInTheLineOfTheEpochThatEndsAfterIt) {
  using Lines = std::vector<std::string>;
  const test::ScratchDirectory scratch;
  const auto text = [&] { return test::read_file(scratch.file("log.txt")); };
  {
    RunLog log(output_to(scratch.path()), 0, 0);
    log.save(save_record("a"));
    log.finish(0);
    EXPECT_EQ(saves_by_line(text()), Lines{"a"}) << "a line of its own, where no epoch has ended";
    EXPECT_NE(text().find("\"gb_per_s\":1.5"), std::string::npos) << text();
  }
  RunLog log(output_to(scratch.path()), 0, 0);
  log.epoch({});
  log.save(save_record("b"));
  log.save(save_record("c"));
  report::EpochRecord second;
  second.epoch = 1;
  log.epoch(second);
  EXPECT_EQ(saves_by_line(text()), (Lines{"", "bc"})) << text();
  log.save(save_record("d"));
  log.finish(2);
  EXPECT_EQ(saves_by_line(text()), (Lines{"", "bcd"})) << "after the last epoch: " << text();
  {
    RunLog resumed(output_to(scratch.path()), 9, 1);
    resumed.save(save_record("e"));
    resumed.finish(1);
  }
  EXPECT_EQ(saves_by_line(text()), Lines{"e"}) << "in a line that had none: " << text();
}

TEST(RunLog, WritesNothingWithoutADirectory) {
  RunLog log(config::OutputConfig{}, 0, 0);
  log.step(step_record(0, 1));
  log.epoch({});
  log.save(save_record("a"));
  log.finish(0);
}

// As tensorboard.summary.writer.record_writer.RecordWriter writes it (tensorboard 2.20).
TEST(EventFile, RecordsAreTensorBoards) {
  std::string hex;
  for (const char byte : to_record("tessera")) {
    hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  EXPECT_EQ(hex, "0700000000000000bbd79f1174657373657261d41d07ac");
}

std::string only_event_file(const std::string& directory) {
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().filename().string().rfind("events.out.tfevents.", 0) == 0) {
      return test::read_file(entry.path().string());
    }
  }
  return "";
}

TEST(EventFile, HoldsTheFiguresOfStepsAndEpochs) {
  const test::ScratchDirectory scratch;
  config::OutputConfig output = output_to(scratch.path());
  output.log_dir = scratch.file("board");
  RunLog log(output, 7, 0);
  log.step(step_record(7, 1.5));
  log.epoch({});
  EXPECT_EQ(only_event_file(scratch.path()), "");
  const std::string events = only_event_file(output.log_dir);
  // Value{tag: "loss", simple_value: 1.5}, and the step of the event that it is in.
  EXPECT_NE(events.find(std::string("\x0a\x0b\x0a\x04loss\x15\x00\x00\xc0\x3f", 13)), std::string::npos);
  EXPECT_NE(events.find(std::string("\x10\x07\x2a", 3)), std::string::npos);
  for (const char* tag : {"brain.Event:2", "lr", "grad_norm", "perf/mfu", "perf/test_acc1", "perf/test_loss"}) {
    EXPECT_NE(events.find(tag), std::string::npos) << tag;
  }
}

TEST(EventFile, RefusesADirectoryThatIsNone) {
  const test::ScratchDirectory scratch;
  test::write_file(scratch.file("file"), "");
  EXPECT_THROW(EventFile(scratch.file("file"), 0), core::UserError);
}

}  // namespace
}  // namespace tessera::train

// What runs left, read back and held against each other.
#include "support/scratch.hpp"
#include "tessera/core/error.hpp"
#include "tessera/report/comparison.hpp"
#include "tessera/report/run.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <string>

namespace tessera::report {
namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

StepRecord step(std::int64_t number, double loss) {
  StepRecord record;
  record.step = number;
  record.loss = loss;
  record.accuracy = 50;
  record.lr = 0.1;
  record.grad_norm = std::nan("");
  record.seconds = 0.5;
  record.tokens_per_s = 100 + static_cast<double>(number);
  record.mfu = 0.25;
  record.peak_bytes = 1000 + number;
  record.part_seconds[1] = 0.125;
  return record;
}

TEST(RunFiles, StepsAndEpochsAreReadAsTheyWereWritten) {
  const test::ScratchDirectory scratch;
  StepRecord skipped = step(1, std::nan(""));
  skipped.skipped = true;
  EpochRecord epoch;
  epoch.epoch = 3;
  epoch.end_step = 40;
  epoch.test_acc1 = 61.5;
  epoch.test_loss = 1.25;
  epoch.peak_bytes = 9000;
  SaveRecord save;
  save.name = "checkpoint-3";
  save.bytes = 12345;
  save.async = true;
  std::string log = to_json_line(epoch);
  log.pop_back();
  test::write_file(scratch.file("steps.jsonl"), to_json_line(step(0, 1.5)) + "\n" + to_json_line(skipped) + "\n{\"st");
  test::write_file(scratch.file("log.txt"), log + ",\"saves\":[" + to_json_line(save) + "]}\n");
  test::write_file(scratch.file("args.json"),
                   R"({"lr": 0.5, "dataset": "cifar10", "model_shape": {"hidden_size": 64}})");
  const RunRecord run = read_run(scratch.path());
  ASSERT_EQ(run.steps.size(), 2U) << "the torn line is passed over";
  EXPECT_EQ(run.steps[0].loss, 1.5);
  EXPECT_EQ(run.steps[0].accuracy, 50);
  EXPECT_EQ(run.steps[0].tokens_per_s, 100);
  EXPECT_EQ(run.steps[0].part_seconds[1], 0.125);
  EXPECT_TRUE(std::isnan(run.steps[1].loss));
  EXPECT_TRUE(run.steps[1].skipped);
  ASSERT_EQ(run.epochs.size(), 1U);
  EXPECT_EQ(run.epochs[0].test_acc1, 61.5);
  EXPECT_EQ(run.epochs[0].end_step, 40);
  ASSERT_EQ(run.saves.size(), 1U);
  EXPECT_EQ(run.saves[0].name, "checkpoint-3");
  EXPECT_TRUE(run.saves[0].async);
  EXPECT_EQ(run.settings.at("lr"), "0.5");
  EXPECT_EQ(run.settings.at("dataset"), "cifar10");
  EXPECT_EQ(run.settings.at("model_shape.hidden_size"), "64");
  EXPECT_EQ(run.peak_bytes(), 9000);
}

TEST(RunFiles, WhatIsNoRunIsToldSo) {
  const test::ScratchDirectory scratch;
  const auto refused = [&](const std::string& directory) {
    return test::message_of<core::UserError>([&] { read_run(directory); });
  };
  EXPECT_TRUE(contains(refused(scratch.file("absent")), "is no directory"));
  EXPECT_TRUE(contains(refused(scratch.path()), "neither steps.jsonl nor log.txt"));
  test::write_file(scratch.file("steps.jsonl"), to_json_line(step(0, 1)) + "\nrubbish\n" + to_json_line(step(1, 1)));
  EXPECT_TRUE(contains(refused(scratch.path()), "line 2 of ")) << refused(scratch.path());
}

RunRecord run_of(const std::string& name, const std::vector<StepRecord>& steps) {
  RunRecord run;
  run.directory = name;
  run.steps = steps;
  return run;
}

TEST(Compare, TellsHowFarCurvesAreApart) {
  // Step 3 is in the first alone; the loss of step 4 is no number in the second.
  const RunRecord a = run_of("a", {step(0, 2), step(1, 2), step(2, 2), step(3, 9), step(4, 1), step(5, 1)});
  const RunRecord b = run_of("b", {step(0, 2), step(1, 2.01), step(2, 2.5), step(4, std::nan("")), step(5, 1.25)});
  const Comparison comparison = compare(a, b, 0.1);
  ASSERT_EQ(comparison.by_step.size(), 3U) << "no run has a norm";
  const CurveDifference& loss = comparison.by_step[0];
  EXPECT_EQ(loss.name, "loss");
  EXPECT_EQ(loss.points, 4);
  EXPECT_NEAR(loss.mean, (0 + 0.01 + 0.5 + 0.25) / 4, 1e-12);
  EXPECT_EQ(loss.max, 0.5);
  EXPECT_EQ(loss.max_at, 2);
  EXPECT_EQ(loss.differ_from, 1);
  EXPECT_EQ(loss.part_at, 2);
  EXPECT_EQ(loss.last[1], 1.25);
  const CurveDifference& lr = comparison.by_step[2];
  EXPECT_EQ(lr.name, "lr");
  EXPECT_EQ(lr.points, 5);
  EXPECT_EQ(lr.differ_from, -1);
  EXPECT_EQ(lr.max_at, -1);
  const auto json = nlohmann::json::parse(to_json(comparison));
  EXPECT_EQ(json["by_step"]["loss"]["part_at"], 2);
  EXPECT_TRUE(json["by_step"]["lr"]["differ_from"].is_null());
  EXPECT_EQ(json["whole"]["steps"][0], 6);
  EXPECT_EQ(json["whole"]["tokens_per_s"][0], 103) << "the median of 101 to 105";
  EXPECT_EQ(json["whole"]["forward_seconds"][1], 0.125);
  EXPECT_EQ(json["whole"]["peak_memory_bytes"][0], 1005);
  const std::string table = to_table(comparison);
  EXPECT_TRUE(contains(table, "no setting differs")) << table;
  EXPECT_TRUE(contains(table, "|a-b| is first above 0.1 of the greater")) << table;
  EXPECT_TRUE(contains(table, "never")) << table;
}

TEST(Compare, TellsSettingsThatDiffer) {
  RunRecord a = run_of("a", {});
  RunRecord b = run_of("b", {});
  a.settings = {{"lr", "1"}, {"output_dir", "a"}, {"seed", "0"}};
  b.settings = {{"lr", "2"}, {"output_dir", "b"}, {"seed", "0"}, {"ema", "0.9"}};
  const Comparison comparison = compare(a, b, 0.01);
  ASSERT_EQ(comparison.settings.size(), 2U);
  EXPECT_EQ(comparison.settings[0].name, "ema");
  EXPECT_EQ(comparison.settings[0].values[0], "-");
  EXPECT_EQ(comparison.settings[1].name, "lr");
  EXPECT_TRUE(contains(to_table(comparison), "  lr       1  2\n")) << to_table(comparison);
  EXPECT_TRUE(to_svg(a, b).ends_with("</svg>\n")) << "of runs without a step";
}

}  // namespace
}  // namespace tessera::report

// The page of `tessera report`: the document that it draws, and what it is read from.
#include "support/scratch.hpp"
#include "tessera/core/error.hpp"
#include "tessera/report/evaluation_text.hpp"
#include "tessera/report/page.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <regex>
#include <string>

namespace tessera::report {
namespace {

using Json = nlohmann::json;

const std::vector<std::string> kNames{"cat", "dog", "</script><b>"};

std::vector<ImageOutcome> outcomes() {
  std::vector<ImageOutcome> list;
  for (const auto& [label, prediction] : std::vector<std::pair<int, int>>{{0, 0}, {0, 1}, {1, 1}, {2, 1}, {2, -1}}) {
    const auto index = static_cast<std::int64_t>(list.size());
    list.push_back({index, label, prediction, label == prediction ? 0 : 1, 0.5F + 0.1F * static_cast<float>(index), 2});
  }
  list.back().confidence = std::nanf("");
  return list;
}

PageRun run_of(const std::string& directory, int num_steps) {
  PageRun run;
  run.record.directory = directory;
  run.record.settings = {{"lr", directory}, {"seed", "0"}};
  for (int i = 0; i < num_steps; ++i) {
    StepRecord step;
    step.step = i;
    step.loss = i == 1 ? std::nan("") : 1.0 / (i + 1);
    step.seconds = 0.5;
    step.mfu = 0.25;
    step.part_seconds[1] = 0.125;
    run.record.steps.push_back(step);
  }
  EpochRecord epoch;
  epoch.end_step = num_steps;
  epoch.test_acc1 = 61.5;
  run.record.epochs.push_back(epoch);
  run.record.saves.push_back({"checkpoint-1", 7, 1000, 0.25, 0, 0, 0, 2, true});
  run.record.plan = PlanRecord{"cpu", {{"parameters", 4096, "weights"}}, {{"snapshot", 12, "of the state"}}};
  return run;
}

TEST(Page, DataHoldsWhatTheRunsLeft) {
  PageRun first = run_of("a", 3);
  first.saved = {summarize(outcomes(), kNames), outcomes()};
  first.worst = {{2, {{3, 1, 0.8, std::string("\x01\x02\xff\xfe", 4)}}}};
  const Json data = Json::parse(page_data({first, run_of("b", 2)}));
  ASSERT_EQ(data["runs"].size(), 2U);
  EXPECT_EQ(data["differences"], Json::parse(R"([{"name": "lr", "values": ["a", "b"]}])"));
  const Json& run = data["runs"][0];
  EXPECT_EQ(run["clock"], Json::parse("[[0, 0.5], [1, 1.0], [2, 1.5]]"));
  EXPECT_EQ(run["figures"]["mfu_percent"], 25);
  EXPECT_EQ(run["parts"]["forward"], 0.125);
  EXPECT_EQ(run["plan"]["items"][0]["bytes"], 4096);
  EXPECT_EQ(run["plan"]["host_items"][0]["name"], "snapshot");
  EXPECT_EQ(run["checkpoints"][0]["step"], 7);
  EXPECT_EQ(run["checkpoints"][0]["kept"], false) << "there is no a/checkpoint-1";
  EXPECT_EQ(run["evaluation"]["confusion"], Json::parse("[[0, 0, 1], [0, 1, 1], [1, 1, 1], [2, 1, 1]]"));
  EXPECT_EQ(run["evaluation"]["classes"][0]["acc1"], 50);
  EXPECT_EQ(run["evaluation"]["worst"][0]["examples"][0]["src"], "data:image/png;base64,AQL//g==");
  EXPECT_TRUE(data["runs"][1]["evaluation"].is_null());
  const Json& loss = data["curves"][0];
  EXPECT_EQ(loss["title"], "Loss");
  EXPECT_EQ(loss["series"][0]["points"], Json::parse("[[0, 1.0], [1, null], [2, 0.333333]]"));
  EXPECT_EQ(data["curves"][1]["series"][1]["kind"], "test");
  EXPECT_EQ(data["curves"][1]["series"][1]["points"], Json::parse("[[3, 61.5]]"));
}

TEST(Page, LongCurvesAreThinned) {
  PageRun run = run_of("a", 20'000);
  run.record.steps[1].loss = 0.5;
  const Json data = Json::parse(page_data({run}));
  const Json& series = data["curves"][0]["series"][0];
  EXPECT_LE(series["points"].size(), 1000U);
  EXPECT_EQ(series["points"][0], Json::parse("[0, 1.0]")) << "no peak is lost";
  EXPECT_EQ(series["trend"].size(), 80U);
  EXPECT_LE(data["runs"][0]["clock"].size(), 210U);
  EXPECT_EQ(data["runs"][0]["clock"].back(), Json::parse("[19999, 10000]"));
}

TEST(Page, StandsAlone) {
  PageRun run = run_of("</script>", 3);
  run.saved.evaluation = summarize(outcomes(), kNames);
  const std::string page = to_page(page_data({run}));
  EXPECT_EQ(page.find("{{"), std::string::npos) << "every part is put in";
  const std::regex outside(R"((src|href)\s*=\s*["'](?!data:)|@import|url\()");
  EXPECT_FALSE(std::regex_search(page, outside));
  const std::regex end_of_script("</script>");
  const std::regex start_of_script("<script[ >]");
  const auto count = [&page](const std::regex& word) {
    return std::distance(std::sregex_iterator(page.begin(), page.end(), word), std::sregex_iterator());
  };
  EXPECT_EQ(count(end_of_script), count(start_of_script)) << "no name ends a script";
}

TEST(SavedEvaluation, IsReadAsItWasWritten) {
  const test::ScratchDirectory scratch;
  EXPECT_FALSE(read_saved_evaluation(scratch.path()).evaluation.has_value());
  const Evaluation written = summarize(outcomes(), kNames);
  test::write_file(scratch.file(kEvaluationFile), to_json_line(written) + "\n");
  test::write_file(scratch.file(kPredictionsFile), predictions_text(kPredictionsFile, outcomes(), {}));
  const SavedEvaluation saved = read_saved_evaluation(scratch.path());
  ASSERT_TRUE(saved.evaluation.has_value());
  EXPECT_EQ(to_json_line(*saved.evaluation), to_json_line(written));
  EXPECT_EQ(saved.evaluation->classes[1].predicted, 3);
  ASSERT_EQ(saved.outcomes.size(), 5U);
  EXPECT_EQ(saved.outcomes[3].prediction, 1);
  EXPECT_EQ(saved.outcomes[3].confidence, outcomes()[3].confidence);
  EXPECT_TRUE(std::isnan(saved.outcomes[4].confidence));
}

TEST(SavedEvaluation, DamageIsTold) {
  const test::ScratchDirectory scratch;
  const auto message = [&] {
    return test::message_of<core::UserError>([&] { read_saved_evaluation(scratch.path()); });
  };
  test::write_file(scratch.file(kEvaluationFile), R"({"test_loss": 1})");
  EXPECT_NE(message().find("evaluation.json is not what"), std::string::npos) << message();
  std::string text = to_json_line(summarize(outcomes(), kNames));
  text.replace(text.find("[0,1,1]"), 7, "[0,9,1]");
  test::write_file(scratch.file(kEvaluationFile), text);
  EXPECT_NE(message().find("there is no class 9"), std::string::npos) << message();
  test::write_file(scratch.file(kEvaluationFile), to_json_line(summarize(outcomes(), kNames)));
  test::write_file(scratch.file(kPredictionsFile), predictions_text("p.jsonl", outcomes(), {}) + "{\n");
  EXPECT_NE(message().find("line 6 of "), std::string::npos) << message();
}

TEST(MemoryPlanFile, IsReadAsItWasWritten) {
  const test::ScratchDirectory scratch;
  test::write_file(scratch.file("log.txt"), "");
  EXPECT_FALSE(read_run(scratch.path()).plan.has_value());
  test::write_file(scratch.file("memory_plan.json"), to_json_line(*run_of("a", 1).record.plan));
  const RunRecord run = read_run(scratch.path());
  ASSERT_TRUE(run.plan.has_value());
  EXPECT_EQ(run.plan->device, "cpu");
  EXPECT_EQ(run.plan->items.at(0).what, "weights");
  EXPECT_EQ(run.plan->host_items.at(0).bytes, 12);
}

}  // namespace
}  // namespace tessera::report

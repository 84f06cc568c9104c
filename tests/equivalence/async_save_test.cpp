// The program itself: checkpoints that are written beside the training are those that it would have waited for.
#include "support/small_run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <regex>
#include <string>
#include <vector>

namespace tessera::test {
namespace {

namespace fs = std::filesystem;

// 200 images, 40 a step: 5 steps an epoch, 3 epochs.
class AsyncSaveTest : public testing::Test {
 protected:
  void SetUp() override { write_small_dataset(data(), 200, 50); }
  [[nodiscard]] std::string data() const { return scratch_.file("data"); }
  [[nodiscard]] std::string out(const std::string& name) const { return scratch_.file(name); }

  CommandResult run(int ranks, const std::string& output, const std::string& flags) const {
    return finetune(ranks, data(), out(output),
                    "--zero_stage 2 --epochs 3 --batch_size " + std::to_string(40 / ranks) + " " + flags);
  }
  // Without the one time that it tells, and its own checksum, which covers that.
  [[nodiscard]] std::string timeless_manifest(const std::string& checkpoint) const {
    const std::string text = read_file(out(checkpoint) + "/manifest.json");
    return std::regex_replace(text, std::regex(R"re("(created|manifest_crc32c)": *"[^"]*")re"), "");
  }
  [[nodiscard]] std::vector<std::string> log(const std::string& output, const std::string& key) const {
    return column(out(output) + "/log.txt", key);
  }
  [[nodiscard]] double in_manifest(const std::string& checkpoint, const std::string& key) const {
    const std::vector<std::string> found = column(out(checkpoint) + "/manifest.json", key);
    return found.empty() ? -1 : std::stod(found.front());
  }

  ScratchDirectory scratch_;
};

TEST_F(AsyncSaveTest, LeavesTheFilesOfAPlainSave) {
  for (const int ranks : {1, 2}) {
    const std::string beside = "beside" + std::to_string(ranks);
    const std::string plain = "plain" + std::to_string(ranks);
    CommandResult result = run(ranks, beside, "--save_every_steps 1");
    ASSERT_EQ(result.status, 0) << result.output;
    result = run(ranks, plain, "--save_every_steps 1 --async_save false");
    ASSERT_EQ(result.status, 0) << result.output;
    EXPECT_EQ(column(out(beside) + "/steps.jsonl", "loss"), column(out(plain) + "/steps.jsonl", "loss"));
    EXPECT_TRUE(read_file(out(beside) + "/checkpoint-final/state.h5") ==
                read_file(out(plain) + "/checkpoint-final/state.h5"));
    EXPECT_EQ(timeless_manifest(beside + "/checkpoint-final"), timeless_manifest(plain + "/checkpoint-final"));
    // In the middle of an epoch a checkpoint also holds the seconds that the epoch took.
    for (const int step : {1, 2, 7, 13}) {
      const std::string name = "/checkpoint-step-" + std::to_string(step);
      const CommandResult diff = tessera_ckpt("diff " + out(beside) + name + " " + out(plain) + name);
      EXPECT_EQ(diff.status, 0) << diff.output;
    }
  }
}

TEST_F(AsyncSaveTest, EverySaveIsToldInTheLog) {
  for (const std::string way : {"true", "false"}) {
    const CommandResult result = run(2, way, "--save_every_steps 2 --async_save " + way);
    ASSERT_EQ(result.status, 0) << result.output;
    EXPECT_EQ(log(way, "epoch"), (std::vector<std::string>{"0", "1", "2"})) << "a line is an epoch's";
    const std::string text = read_file(out(way) + "/log.txt");
    for (const std::string name : {"step-2", "step-4", "step-6", "step-8", "step-12", "step-14", "final"}) {
      const std::regex one(R"(\{"name":"checkpoint-)" + name + R"(","step":\d+,"async":)" + way +
                           R"(,"bytes":\d+,"stall_seconds":[^,]+,"waited_seconds":[^,]+,"snapshot_seconds":[^,]+,)" +
                           R"("write_seconds":[^,]+,"seconds":[^,]+,"gb_per_s":[^,]+\})");
      EXPECT_TRUE(std::regex_search(text, one)) << name << " in " << text;
    }
    EXPECT_TRUE(text.ends_with("]}\n"));
  }
}

TEST_F(AsyncSaveTest, ASaveThatEndsBeforeAnEpochDoesIsToldToo) {
  ASSERT_EQ(run(1, "run", "--max_steps 3").status, 0);
  EXPECT_NE(read_file(out("run") + "/log.txt").find("{\"epoch\":0,\"saves\":[{\"name\":\"checkpoint-step-3\""),
            std::string::npos);
  const CommandResult result = run(1, "run", "--resume auto");  // the epoch's own line takes its place
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(log("run", "epoch"), (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_EQ(log("run", "test_acc1").size(), 3U);
}

// The epoch with the greatest accuracy, the first where there are several, also over an interruption.
TEST_F(AsyncSaveTest, TheBestIsKept) {
  const std::string flags = "--keep_best --keep_last 1 --save_every_epochs 1 ";
  for (const std::string way : {"true", "false"}) {
    for (const std::string stop : {"", " --max_steps 5", " --max_steps 8"}) {
      const std::string name = "run-" + way + (stop.empty() ? "" : stop.substr(stop.size() - 1));
      CommandResult result = run(2, name, flags + "--async_save " + way + stop);
      ASSERT_EQ(result.status, 0) << result.output;
      if (!stop.empty()) {
        result = run(2, name, flags + "--resume auto --async_save " + way);
        ASSERT_EQ(result.status, 0) << result.output;
      }
      std::vector<double> accuracy;
      for (const std::string& value : log(name, "test_acc1")) {
        accuracy.push_back(std::stod(value));
      }
      ASSERT_EQ(accuracy.size(), 3U);
      const auto best = std::max_element(accuracy.begin(), accuracy.end());
      EXPECT_EQ(in_manifest(name + "/checkpoint-best", "best_accuracy"), *best);
      EXPECT_EQ(in_manifest(name + "/checkpoint-best", "global_step"),
                5 * (1 + static_cast<double>(best - accuracy.begin())));
      EXPECT_EQ(in_manifest(name + "/checkpoint-final", "global_step"), 15);
      EXPECT_EQ(read_file(out(name) + "/latest"), "checkpoint-final\n");
      EXPECT_FALSE(fs::exists(out(name) + "/checkpoint-1")) << "--keep_last 1";
    }
  }
}

TEST_F(AsyncSaveTest, AFailedSaveIsToldAndTheLastOneEndsTheRun) {
  for (const std::string way : {"true", "false"}) {
    fs::create_directories(out(way) + "/latest/in-the-way");  // where the file of this name should go
    const CommandResult result = run(2, way, "--save_every_steps 3 --async_save " + way);
    EXPECT_EQ(result.status, 1) << result.output;
    const std::string told = "warning: the checkpoint was not saved, training goes on: ";
    EXPECT_NE(result.output.find(told), std::string::npos) << result.output;
    EXPECT_NE(result.output.find("epoch 2: train loss"), std::string::npos) << "it did not go on: " << result.output;
    const std::size_t error = result.output.find("\nerror: ");
    ASSERT_NE(error, std::string::npos) << result.output;
    EXPECT_NE(result.output.find("latest: Is a directory", error), std::string::npos) << result.output;
  }
}

}  // namespace
}  // namespace tessera::test

// What the head reads, --global_pool and --cls_token, through the whole life of a run.
#include "support/small_run.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tessera::test {
namespace {

// 200 images, 40 a step.
class PoolingTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { write_small_dataset(data(), 200, 50); }
  [[nodiscard]] std::string data() const { return out("data"); }
  [[nodiscard]] std::string out(const std::string& name) const { return scratch_.file(name); }
  static std::string flag() { return GetParam(); }

  void run(int ranks, const std::string& output, const std::string& flags) const {
    const CommandResult result =
        finetune(ranks, data(), out(output), "--epochs 2 --batch_size " + std::to_string(40 / ranks) + " " + flags);
    ASSERT_EQ(result.status, 0) << result.output;
  }
  [[nodiscard]] std::vector<std::string> losses(const std::string& output) const {
    return column(out(output) + "/steps.jsonl", "loss");
  }
  [[nodiscard]] CommandResult eval(const std::string& path, const std::string& flags) const {
    return tessera("eval --device cpu --batch_size 20 --data_path " + data() + " --checkpoint " + path + " " + flags +
                   " >" + out("eval.json"));
  }
  [[nodiscard]] std::string evaluated_loss() const { return column(out("eval.json"), "test_loss").at(0); }

  ScratchDirectory scratch_;
};

TEST_P(PoolingTest, TrainsOnAnyRanksAndGoesOnBitForBit) {
  run(1, "whole", flag());
  run(1, "last", "");
  EXPECT_NE(losses("whole"), losses("last"));
  run(2, "ranks", flag() + " --zero_stage 2 --gradient_checkpointing");
  for (std::size_t step = 0; step < 10; ++step) {
    EXPECT_NEAR(std::stod(losses("ranks").at(step)), std::stod(losses("whole").at(step)), 1e-4) << step;
  }
  run(1, "parts", flag() + " --max_steps 3");
  run(1, "parts", flag() + " --resume auto");
  EXPECT_EQ(losses("parts"), losses("whole"));
  const CommandResult other = finetune(1, data(), out("parts"), "--epochs 3 --batch_size 40 --resume auto");
  EXPECT_EQ(other.status, 2);
  EXPECT_NE(other.output.find("what the head reads (--global_pool, --cls_token)"), std::string::npos) << other.output;
}

TEST_P(PoolingTest, EveryFileIsEvaluatedAsItWasTrained) {
  run(1, "run", flag());
  const std::string checkpoint = out("run") + "/checkpoint-final";
  ASSERT_EQ(eval(checkpoint, "").status, 0);
  const std::string loss = evaluated_loss();
  EXPECT_NEAR(std::stod(loss), std::stod(column(out("run") + "/log.txt", "test_loss").back()), 1e-5);
  const std::string untold =
      " --dataset fashion-mnist --model_config " + data() + "/model.json --input_size 28 --patch_size 7 " + flag();
  for (const std::string name : {"model.safetensors", "model.pth", "model.h5"}) {
    ASSERT_EQ(tessera_ckpt("consolidate " + checkpoint + " --output " + out(name)).status, 0);
    const CommandResult result = eval(out(name), name == "model.safetensors" ? "" : untold);
    ASSERT_EQ(result.status, 0) << result.output;
    EXPECT_EQ(evaluated_loss(), loss) << name;
  }
  const std::string opposite = flag() == "--cls_token" ? "--global_pool" : "--cls_token";
  const CommandResult refused =
      tessera("eval --device cpu --data_path " + data() + " --checkpoint " + checkpoint + " " + opposite);
  EXPECT_EQ(refused.status, 2);
  EXPECT_NE(refused.output.find("is not what the head of"), std::string::npos) << refused.output;
}

TEST_P(PoolingTest, AProbeReadsWhatTheHeadRead) {
  run(1, "run", flag());
  const auto probe = [&](const std::string& output, const std::string& flags) {
    return tessera("linprobe --device cpu --num_workers 1 --epochs 2 --warmup_epochs 1 --batch_size 40 --data_path " +
                   data() + " --output_dir " + out(output) + " --finetune_checkpoint " + out("run") +
                   "/checkpoint-final " + flags);
  };
  ASSERT_EQ(probe("probe", "").status, 0);
  ASSERT_EQ(probe("told", flag()).status, 0);
  EXPECT_EQ(losses("probe"), losses("told"));
  ASSERT_EQ(eval(out("probe") + "/checkpoint-final", "").status, 0);
  EXPECT_NEAR(std::stod(evaluated_loss()), std::stod(column(out("probe") + "/log.txt", "test_loss").back()), 1e-5);
  if (flag() == "--cls_token") {
    ASSERT_EQ(probe("mean", "--global_pool").status, 0);
    EXPECT_NE(losses("mean"), losses("probe"));
  } else {
    const CommandResult refused = probe("cls", "--cls_token");
    EXPECT_EQ(refused.status, 2);
    EXPECT_NE(refused.output.find("has no cls_token"), std::string::npos) << refused.output;
  }
}

INSTANTIATE_TEST_SUITE_P(Flags, PoolingTest, testing::Values("--global_pool", "--cls_token"),
                         [](const auto& test) { return std::string(test.param).substr(2); });

}  // namespace
}  // namespace tessera::test

// The same command with the same seed writes the same log, bit for bit, whatever the threads were doing.
#include "support/small_run.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace tessera::test {
namespace {

const std::string kEverythingRandom =
    " --drop_path 0.3 --aa rand-m9-mstd0.5-inc1 --reprob 0.25 --mixup 0.8 --cutmix 1 --mixup_mode elem "
    "--random_label_ratio 0.2 --accum_iter 2 --clip_grad 0.5 ";

class ReproducibleTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (on_gpu() && !std::filesystem::exists("/dev/nvidia0")) {
      GTEST_SKIP() << "no CUDA device";
    }
    write_small_dataset(out("data"), 200, 50);
  }
  static bool on_gpu() { return std::string(GetParam()) == "cuda"; }
  [[nodiscard]] std::string out(const std::string& name) const { return scratch_.file(name); }

  void run(int ranks, const std::string& output, const std::string& flags) const {
    const CommandResult result = run_ranks(
        ranks, "finetune --device " + std::string(GetParam()) + " --dataset fashion-mnist --data_path " + out("data") +
                   " --model_config " + out("data") + "/model.json --random_init --input_size 28 --patch_size 7 " +
                   "--warmup_epochs 0.5 --blr 0.02 --epochs 2 --batch_size " + std::to_string(20 / ranks) +
                   kEverythingRandom + flags + " --output_dir " + out(output));
    ASSERT_EQ(result.status, 0) << result.output;
  }
  // Everything in the logs but times and what is made of them.
  void expect_same_log(const std::string& a, const std::string& b) const {
    for (const std::string key : {"step", "loss", "acc1", "lr", "grad_norm"}) {
      const auto first = column(out(a) + "/steps.jsonl", key);
      ASSERT_EQ(first.size(), 10U) << key;
      EXPECT_EQ(first, column(out(b) + "/steps.jsonl", key)) << key;
    }
    for (const std::string key : {"train_loss", "train_acc1", "test_loss", "test_acc1", "test_acc5"}) {
      const auto first = column(out(a) + "/log.txt", key);
      ASSERT_EQ(first.size(), 2U) << key;
      EXPECT_EQ(first, column(out(b) + "/log.txt", key)) << key;
    }
  }

  ScratchDirectory scratch_;
};

TEST_P(ReproducibleTest, TwoRunsWriteTheSameLog) {
  for (const int ranks : {1, 2}) {
    const std::string stage = ranks == 2 ? "--zero_stage 2" : "";
    const std::string name = std::to_string(ranks);
    run(ranks, name + "a", "--deterministic --num_workers 1 " + stage);
    run(ranks, name + "b", "--deterministic --num_workers 3 " + stage);
    expect_same_log(name + "a", name + "b");
    run(ranks, name + "plain", "--num_workers 2 " + stage);
    expect_same_log(name + "a", name + "plain");
  }
}

TEST_P(ReproducibleTest, WhatIsResumedWritesTheLogOfTheUnbrokenRun) {
  run(2, "whole", "--deterministic --zero_stage 2");
  run(2, "parts", "--deterministic --zero_stage 2 --max_steps 3");
  run(2, "parts", "--deterministic --zero_stage 2 --resume auto");
  expect_same_log("whole", "parts");
}

TEST_P(ReproducibleTest, AnotherSeedWritesAnother) {
  run(1, "a", "--deterministic --seed 4");
  run(1, "b", "--deterministic --seed 5");
  EXPECT_NE(column(out("a") + "/steps.jsonl", "loss"), column(out("b") + "/steps.jsonl", "loss"));
}

INSTANTIATE_TEST_SUITE_P(Devices, ReproducibleTest, testing::Values("cpu", "cuda"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace tessera::test

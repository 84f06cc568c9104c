// The program itself, under mpirun: what is interrupted and resumed is what was never interrupted.
#include "support/small_run.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

namespace tessera::test {
namespace {

const std::string kAugmentation =
    " --aa rand-m9-mstd0.5-inc1 --reprob 0.25 --mixup 0.8 --cutmix 1 --mixup_mode elem --random_label_ratio 0.2";

// 200 images, 40 a step: 5 steps an epoch, 3 epochs.
class ResumeTest : public testing::Test {
 protected:
  void SetUp() override { write_small_dataset(data(), 200, 50); }
  [[nodiscard]] std::string data() const { return scratch_.file("data"); }
  [[nodiscard]] std::string out(const std::string& name) const { return scratch_.file(name); }

  // `ranks` x `batch` is 40.
  CommandResult run(int ranks, const std::string& output, const std::string& flags) const {
    return finetune(ranks, data(), out(output), "--epochs 3 --batch_size " + std::to_string(40 / ranks) + " " + flags);
  }
  [[nodiscard]] std::string consolidated(const std::string& output) const {
    const std::string file = out(output + ".safetensors");
    const CommandResult result = tessera_ckpt("consolidate " + out(output) + "/checkpoint-final --output " + file);
    EXPECT_EQ(result.status, 0) << result.output;
    return read_file(file);
  }
  void expect_near_columns(const std::string& a, const std::string& b, const std::string& key, double bound) const {
    const std::vector<std::string> first = column(out(a) + "/steps.jsonl", key);
    const std::vector<std::string> second = column(out(b) + "/steps.jsonl", key);
    ASSERT_EQ(first.size(), second.size());
    for (std::size_t i = 0; i < first.size(); ++i) {
      EXPECT_NEAR(std::stod(first[i]), std::stod(second[i]), bound * std::abs(std::stod(second[i])))
          << key << " of step " << i;
    }
  }

  ScratchDirectory scratch_;
};

TEST_F(ResumeTest, SameWorldGoesOnBitForBit) {
  for (const std::string& flags : {std::string("--zero_stage 0"), "--zero_stage 2" + kAugmentation}) {
    const std::string whole = "whole" + std::to_string(flags.size());
    const std::string parts = "parts" + std::to_string(flags.size());
    CommandResult result = run(2, whole, flags);
    ASSERT_EQ(result.status, 0) << result.output;
    result = run(2, parts, flags + " --max_steps 7");  // in the middle of the second epoch
    ASSERT_EQ(result.status, 0) << result.output;
    EXPECT_TRUE(std::filesystem::exists(out(parts) + "/checkpoint-step-7"));
    result = run(2, parts, flags + " --resume auto");
    ASSERT_EQ(result.status, 0) << result.output;
    for (const std::string key : {"step", "loss", "lr", "grad_norm"}) {
      EXPECT_EQ(column(out(whole) + "/steps.jsonl", key), column(out(parts) + "/steps.jsonl", key)) << key;
    }
    for (const std::string key : {"epoch", "train_loss", "train_acc1", "train_lr", "test_loss", "test_acc1"}) {
      EXPECT_EQ(column(out(whole) + "/log.txt", key), column(out(parts) + "/log.txt", key)) << key;
    }
    EXPECT_EQ(consolidated(whole), consolidated(parts)) << "the consolidated files, byte for byte";
  }
}

// An epoch has 5 steps.
TEST_F(ResumeTest, ASaveByStepsThatFallsOnTheEndOfAnEpochIsMade) {
  const CommandResult result = run(1, "steps", "--save_every_steps 5 --save_every_epochs 2");
  ASSERT_EQ(result.status, 0) << result.output;
  for (const std::string name : {"step-5", "2", "final"}) {
    EXPECT_TRUE(std::filesystem::exists(out("steps") + "/checkpoint-" + name)) << name << "\n" << result.output;
  }
  EXPECT_FALSE(std::filesystem::exists(out("steps") + "/checkpoint-step-10")) << "it has the epoch's name";
}

TEST_F(ResumeTest, EveryKindOfAugmentationHasAnEffect) {
  const std::string base = "--epochs 1 --batch_size 40 --max_steps 1 ";
  ASSERT_EQ(finetune(1, data(), out("plain"), base).status, 0);
  const std::string plain = column(out("plain") + "/steps.jsonl", "loss").at(0);
  int number = 0;
  for (const std::string flags : {"--hflip 0", "--aa v0", "--color_jitter 0.4", "--reprob 0.9", "--mixup 0.8",
                                  "--cutmix 1 --mixup_mode pair", "--random_label_ratio 0.5"}) {
    const std::string name = std::to_string(number++);
    const CommandResult result = finetune(1, data(), out(name), base + flags);
    ASSERT_EQ(result.status, 0) << result.output;
    EXPECT_NE(column(out(name) + "/steps.jsonl", "loss").at(0), plain) << flags;
  }
}

TEST_F(ResumeTest, AugmentationIsTheSameOnTwoRanksAsInTwoMicroSteps) {
  // The micro-batches are the same ones; the order of sums is not.
  const std::string flags = "--epochs 1 --batch_size 20" + kAugmentation;
  CommandResult result = finetune(1, data(), out("one"), flags + " --accum_iter 2");
  ASSERT_EQ(result.status, 0) << result.output;
  result = finetune(2, data(), out("two"), flags);
  ASSERT_EQ(result.status, 0) << result.output;
  expect_near_columns("two", "one", "loss", 5 * 40 * 16 * 1.2e-7);
  EXPECT_EQ(column(out("two") + "/log.txt", "train_acc1"), column(out("one") + "/log.txt", "train_acc1"));
}

TEST_F(ResumeTest, TheMomentumGoesOnBitForBit) {
  const std::string flags = "--zero_stage 2 --opt sgd --momentum 0.8 ";
  ASSERT_EQ(run(2, "whole", flags).status, 0);
  ASSERT_EQ(run(2, "parts", flags + "--max_steps 7").status, 0);
  const CommandResult other = run(2, "parts", "--zero_stage 2 --resume auto");
  EXPECT_EQ(other.status, 2);
  EXPECT_NE(other.output.find("--opt: sgd in the checkpoint, adamw now"), std::string::npos) << other.output;
  ASSERT_EQ(run(2, "parts", flags + "--resume auto").status, 0);
  EXPECT_EQ(column(out("whole") + "/steps.jsonl", "loss"), column(out("parts") + "/steps.jsonl", "loss"));
  EXPECT_EQ(consolidated("whole"), consolidated("parts"));
}

TEST_F(ResumeTest, FrozenBlocksGoOnToo) {
  const std::string flags = "--zero_stage 2 --freeze_blocks 1 ";
  ASSERT_EQ(run(2, "whole", flags).status, 0);
  ASSERT_EQ(run(2, "parts", flags + "--max_steps 7").status, 0);
  const CommandResult other = run(2, "parts", "--zero_stage 2 --resume auto");
  EXPECT_EQ(other.status, 2);
  EXPECT_NE(other.output.find("--freeze_blocks: 1 in the checkpoint, 0 now"), std::string::npos) << other.output;
  ASSERT_EQ(run(1, "parts", flags + "--resume auto --max_steps 9").status, 0);
  ASSERT_EQ(run(2, "parts", flags + "--resume auto").status, 0);
  EXPECT_EQ(column(out("whole") + "/log.txt", "n_parameters"), column(out("parts") + "/log.txt", "n_parameters"));
  const long trained = std::stol(column(out("whole") + "/log.txt", "n_trainable_parameters").at(0));
  EXPECT_LT(trained, std::stol(column(out("whole") + "/log.txt", "n_parameters").at(0)));
  expect_near_columns("parts", "whole", "loss", 15 * 40 * 16 * 1.2e-7);
  const CommandResult difference =
      tessera_ckpt("diff " + out("whole") + "/checkpoint-final " + out("parts") + "/checkpoint-final");
  EXPECT_EQ(difference.output.find("layers.0."), std::string::npos) << "what is frozen is alike: " << difference.output;
}

TEST_F(ResumeTest, OtherWorldsAndStagesGoOnWithinTheOrderOfSums) {
  ASSERT_EQ(run(1, "whole", "").status, 0);
  CommandResult result = run(2, "parts", "--zero_stage 2 --save_every_steps 4 --max_steps 4");
  ASSERT_EQ(result.status, 0) << result.output;
  result = run(4, "parts", "--zero_stage 1 --resume auto --max_steps 9");
  ASSERT_EQ(result.status, 0) << result.output;
  result = run(1, "parts", "--resume " + out("parts") + "/checkpoint-step-9");
  ASSERT_EQ(result.status, 0) << result.output;
  // 15 steps of 40 x 16 summands each, see engine_test.cpp.
  expect_near_columns("parts", "whole", "loss", 15 * 40 * 16 * 1.2e-7);
  EXPECT_EQ(column(out("parts") + "/steps.jsonl", "lr"), column(out("whole") + "/steps.jsonl", "lr"));
}

// 24 images a step, whatever the number of ranks, with the same flags.
TEST_F(ResumeTest, FewerAndMoreRanksKeepTheImagesPerStep) {
  const std::string flags = "--epochs 2 --zero_stage 2 --mixup 0.8 ";
  const std::string same = flags + "--batch_size 2 --accum_iter 3 ";
  ASSERT_EQ(finetune(1, data(), out("whole"), flags + "--batch_size 2 --accum_iter 12").status, 0);
  ASSERT_EQ(finetune(4, data(), out("parts"), same + "--max_steps 3").status, 0);
  const auto go_on = [&](int ranks, const std::string& more, const std::string& words) {
    const CommandResult result = finetune(ranks, data(), out("parts"), same + "--resume auto " + more);
    ASSERT_EQ(result.status, 0) << result.output;
    EXPECT_NE(result.output.find(words), std::string::npos) << result.output;
  };
  go_on(2, "--max_steps 7", "2 ranks now, 4 when ");
  go_on(1, "--max_steps 11", "--accum_iter 12 in place of 3 keeps its 24 images per optimizer step");
  const CommandResult uneven = finetune(3, data(), out("parts"), flags + "--batch_size 6 --accum_iter 3 --resume auto");
  EXPECT_EQ(uneven.status, 2) << uneven.output;
  EXPECT_NE(uneven.output.find("give --batch_size 4, or take another number of ranks"), std::string::npos)
      << uneven.output;
  go_on(3, "", "--accum_iter 4 in place of 3");
  expect_near_columns("parts", "whole", "loss", 16 * 24 * 16 * 1.2e-7);
  EXPECT_EQ(column(out("parts") + "/steps.jsonl", "lr"), column(out("whole") + "/steps.jsonl", "lr"));
  EXPECT_NE(read_file(out("parts") + "/args.json").find("\"accum_iter\": 4"), std::string::npos);
}

TEST_F(ResumeTest, TheConsolidatedFileGivesTheAccuracyOfTheRun) {
  ASSERT_EQ(finetune(2, data(), out("run"), "--zero_stage 2 --epochs 20 --batch_size 10").status, 0);
  (void)consolidated("run");
  const std::string checkpoint = out("run") + "/checkpoint-final";
  for (const std::string name : {"run.pth", "run.h5", "hub"}) {
    const CommandResult result = tessera_ckpt("consolidate " + checkpoint + " --output " + out(name));
    ASSERT_EQ(result.status, 0) << result.output;
  }
  const double trained = std::stod(column(out("run") + "/log.txt", "test_acc1").back());
  EXPECT_GT(trained, 30) << "ten classes: it learnt something";
  // What the file does not say is said by flags.
  const std::string flags = " --model_config " + data() + "/model.json --input_size 28 --patch_size 7";
  for (const std::string& weights :
       {out("run.safetensors"), checkpoint, out("hub"), out("run.pth") + flags, out("run.h5") + flags}) {
    const std::string report = out("eval.json");
    const CommandResult result = tessera("eval --device cpu --dataset fashion-mnist --data_path " + data() +
                                         " --checkpoint " + weights + " >" + report);
    ASSERT_EQ(result.status, 0) << result.output;
    EXPECT_EQ(std::stod(column(report, "test_acc1").at(0)), trained) << weights;
    EXPECT_EQ(column(report, "num_images").at(0), "50");
  }
}

TEST_F(ResumeTest, KeepsTheLastCheckpointsAlone) {
  const CommandResult result = run(2, "run", "--save_every_epochs 1 --save_every_steps 2 --keep_last 2");
  ASSERT_EQ(result.status, 0) << result.output;
  std::vector<std::string> kept;
  for (const std::string& name : list_directory(out("run"))) {
    if (name.rfind("checkpoint-", 0) == 0) {
      kept.push_back(name);
    }
  }
  EXPECT_EQ(kept, (std::vector<std::string>{"checkpoint-final", "checkpoint-step-12", "checkpoint-step-14"}));
}

TEST_F(ResumeTest, ARunIsNotBegunOverAnother) {
  ASSERT_EQ(run(1, "run", "--max_steps 2").status, 0);
  const CommandResult again = run(1, "run", "");
  EXPECT_EQ(again.status, 2);
  EXPECT_NE(again.output.find("--resume auto"), std::string::npos) << again.output;
}

TEST_F(ResumeTest, AFinishedRunStaysAsItIs) {
  ASSERT_EQ(run(1, "run", "").status, 0);
  const std::string manifest = out("run") + "/checkpoint-final/manifest.json";
  const std::string saved = read_file(manifest);
  const CommandResult again = run(1, "run", "--resume auto");
  EXPECT_EQ(again.status, 0) << again.output;
  EXPECT_EQ(read_file(manifest), saved);
}

TEST_F(ResumeTest, AnotherRunIsNotGoneOnWith) {
  ASSERT_EQ(run(1, "run", "--max_steps 2").status, 0);
  const CommandResult other = finetune(1, data(), out("run"), "--epochs 3 --batch_size 20 --seed 5 --resume auto");
  EXPECT_EQ(other.status, 2);
  EXPECT_NE(other.output.find("images per step"), std::string::npos) << other.output;
  EXPECT_NE(other.output.find("--seed: 0 in the checkpoint, 5 now"), std::string::npos) << other.output;
}

}  // namespace
}  // namespace tessera::test

// The linear probe as users start it: from every kind of file, resumed, cached, evaluated, and refused.
#include "support/small_run.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

namespace tessera::test {
namespace {

// 200 images to train on, 50 to test with.
class LinprobeTest : public testing::Test {
 protected:
  // One fine-tuning for all tests, and its weights in every form.
  static void SetUpTestSuite() {
    shared_ = new ScratchDirectory;
    write_small_dataset(shared("data"), 200, 50);
    const CommandResult result =
        finetune(2, shared("data"), shared("tuned"), "--zero_stage 2 --epochs 12 --batch_size 10");
    ASSERT_EQ(result.status, 0) << result.output;
    for (const std::string name : {"model.safetensors", "model.pth", "model.h5", "hub"}) {
      const CommandResult exported =
          tessera_ckpt("consolidate " + shared("tuned") + "/checkpoint-final --output " + shared(name));
      ASSERT_EQ(exported.status, 0) << exported.output;
    }
  }
  static void TearDownTestSuite() { delete shared_; }
  static std::string shared(const std::string& name) { return shared_->file(name); }
  static std::string tuned() { return shared("tuned") + "/checkpoint-final"; }

  [[nodiscard]] std::string out(const std::string& name) const { return scratch_.file(name); }

  // `ranks` x the batch is 40: 5 steps an epoch.
  CommandResult linprobe(int ranks, const std::string& output, const std::string& flags) const {
    const std::string batch =
        flags.find("--batch_size") == std::string::npos ? " --batch_size " + std::to_string(40 / ranks) : "";
    return run_ranks(ranks, "linprobe --device cpu --data_path " + shared("data") + batch +
                                " --num_workers 1 --warmup_epochs 1 --output_dir " + out(output) + " " + flags);
  }
  [[nodiscard]] std::vector<std::string> losses(const std::string& output) const {
    return column(out(output) + "/steps.jsonl", "loss");
  }
  void expect_near(const std::string& a, const std::string& b, double bound) const {
    const std::vector<std::string> first = losses(a);
    const std::vector<std::string> second = losses(b);
    ASSERT_EQ(first.size(), second.size());
    ASSERT_FALSE(first.empty());
    for (std::size_t i = 0; i < first.size(); ++i) {
      EXPECT_NEAR(std::stod(first[i]), std::stod(second[i]), bound * std::stod(second[i])) << "step " << i;
    }
  }
  [[nodiscard]] std::string result(const std::string& output, const std::string& key) const {
    std::string text = read_file(out(output) + "/final_results.json");
    const std::size_t at = text.find("\"" + key + "\": ");
    return at == std::string::npos
               ? ""
               : text.substr(at + key.size() + 4, text.find_first_of(",\n", at) - at - key.size() - 4);
  }

 private:
  static ScratchDirectory* shared_;
  ScratchDirectory scratch_;
};

ScratchDirectory* LinprobeTest::shared_ = nullptr;

TEST_F(LinprobeTest, LearnsAndTellsItsResults) {
  const CommandResult run = linprobe(2, "run", "--finetune_checkpoint " + tuned() + " --epochs 20 --blr 5");
  ASSERT_EQ(run.status, 0) << run.output;
  const std::vector<std::string> accuracy = column(out("run") + "/log.txt", "test_acc1");
  ASSERT_EQ(accuracy.size(), 20U);
  EXPECT_GT(std::stod(losses("run").front()), 0.95 * std::log(10))
      << "before its first step the head knows nothing, also of a model that was tuned with the same seed";
  double best = 0;
  for (const std::string& text : accuracy) {
    best = std::max(best, std::stod(text));
  }
  EXPECT_GT(best, 40) << "ten classes, and features that were trained to tell them apart";
  EXPECT_EQ(std::stod(result("run", "best_acc1")), best);
  EXPECT_EQ(std::stod(result("run", "final_acc1")), std::stod(accuracy.back()));
  EXPECT_EQ(result("run", "total_epochs"), "20");
  EXPECT_EQ(column(out("run") + "/log.txt", "n_trainable_parameters").back(), "330") << "32 features, 10 classes";
  EXPECT_GT(std::stol(column(out("run") + "/log.txt", "n_parameters").back()), 10'000);
  EXPECT_GT(std::stod(column(out("run") + "/steps.jsonl", "tokens_per_s").back()), 0);
  EXPECT_LT(std::filesystem::file_size(out("run") + "/checkpoint-final/state.h5"), 300'000U)
      << "the backbone is not saved with every checkpoint";
}

TEST_F(LinprobeTest, EveryKindOfFileGivesTheSameProbe) {
  const std::string flags = " --epochs 2 --finetune_checkpoint ";
  ASSERT_EQ(linprobe(1, "checkpoint", flags + tuned()).status, 0);
  const std::string untold =
      " --dataset fashion-mnist --model_config " + shared("data") + "/model.json --input_size 28 --patch_size 7";
  for (const std::string name : {"model.safetensors", "hub", "model.pth", "model.h5"}) {
    const bool says_all = name == "model.safetensors" || name == "hub";
    const CommandResult run = linprobe(1, name, flags + shared(name) + (says_all ? "" : untold));
    ASSERT_EQ(run.status, 0) << run.output;
    EXPECT_EQ(losses(name), losses("checkpoint")) << name;
  }
  ASSERT_EQ(linprobe(1, "random", " --epochs 2 --random_init --seed 5" + untold).status, 0);
  EXPECT_NE(losses("random"), losses("checkpoint"));
}

TEST_F(LinprobeTest, TheNumberOfRanksChangesTheOrderOfSumsAlone) {
  for (const std::string name : {"lars", "adamw"}) {
    const std::string flags = "--epochs 3 --no_augment --finetune_checkpoint " + tuned() + " --opt " + name;
    ASSERT_EQ(linprobe(1, name + "1", flags).status, 0);
    const CommandResult run = linprobe(4, name + "4", flags + " --zero_stage 2");
    ASSERT_EQ(run.status, 0) << run.output;
    expect_near(name + "4", name + "1", 1e-4);
  }
}

TEST_F(LinprobeTest, GoesOnBitForBit) {
  const std::string flags = "--epochs 3 --finetune_checkpoint " + tuned() + " ";
  ASSERT_EQ(linprobe(2, "whole", flags).status, 0);
  ASSERT_EQ(linprobe(2, "parts", flags + "--max_steps 7").status, 0);
  const CommandResult resumed = linprobe(2, "parts", flags + "--resume auto");
  ASSERT_EQ(resumed.status, 0) << resumed.output;
  EXPECT_EQ(losses("whole"), losses("parts"));
  for (const std::string key : {"test_loss", "test_acc1", "train_loss"}) {
    EXPECT_EQ(column(out("whole") + "/log.txt", key), column(out("parts") + "/log.txt", key)) << key;
  }
}

TEST_F(LinprobeTest, EvalGivesTheAccuracyOfTheRun) {
  ASSERT_EQ(linprobe(2, "run", "--epochs 4 --blr 5 --finetune_checkpoint " + shared("model.safetensors")).status, 0);
  const std::string checkpoint = out("run") + "/checkpoint-final";
  const std::string command =
      "eval --device cpu --batch_size 20 --data_path " + shared("data") + " --checkpoint " + checkpoint;
  const auto evaluated = [&](const std::string& flags) {
    const std::string report = out("eval.json");
    const CommandResult result = tessera(command + " " + flags + " >" + report);
    EXPECT_EQ(result.status, 0) << result.output;
    return std::stod(column(report, "test_acc1").at(0));
  };
  const double trained = std::stod(column(out("run") + "/log.txt", "test_acc1").back());
  EXPECT_EQ(evaluated(""), trained);
  EXPECT_EQ(evaluated("--backbone " + tuned()), trained) << "the same weights in another file";
  ASSERT_EQ(finetune(1, shared("data"), out("other"), "--epochs 1 --batch_size 40 --seed 9").status, 0);
  const CommandResult other = tessera(command + " --backbone " + out("other") + "/checkpoint-final");
  EXPECT_EQ(other.status, 2);
  EXPECT_NE(other.output.find("not the one whose features"), std::string::npos) << other.output;
}

// Of a picture of 16 patches of 7 x 7 pixels, 2 flops a multiply-add: the patch embedding; a block's keys and values,
// its other products and causal attention; of the last block keys, values and one token; the head.
TEST_F(LinprobeTest, MfuIsOfTheForwardPassAlone) {
  constexpr double kPatches = 2.0 * 16 * (3 * 7 * 7) * 32;
  constexpr double kKeys = 2.0 * 16 * 32 * (2 * 16);
  constexpr double kToken = 2.0 * (2 * 32 * 32 + 3 * 32 * 48);
  constexpr double kBlock = kKeys + 16 * kToken + 2 * 16 * 16 * 32;
  constexpr double kLastBlock = kKeys + kToken + 4 * 16 * 32;
  constexpr double kForward = kPatches + kBlock + kLastBlock + 2 * 32 * 10;
  const auto flops_of_an_image = [&](const CommandResult& result, const std::string& run) {
    EXPECT_EQ(result.status, 0) << result.output;
    const std::string mark = "MFU is of ";
    const double peak = 1e12 * std::stod(result.output.substr(result.output.find(mark) + mark.size()));
    const std::string steps = out(run) + "/steps.jsonl";
    return std::stod(column(steps, "mfu").back()) * std::stod(column(steps, "seconds").back()) * peak / 40;
  };
  // The peak is told in three digits.
  EXPECT_NEAR(flops_of_an_image(linprobe(1, "probe", "--epochs 2 --finetune_checkpoint " + tuned()), "probe"), kForward,
              0.01 * kForward);
  EXPECT_NEAR(flops_of_an_image(finetune(1, shared("data"), out("tuning"), "--epochs 1 --batch_size 40"), "tuning"),
              3 * kForward, 0.03 * kForward);
}

TEST_F(LinprobeTest, CachedFeaturesGiveTheSameTraining) {
  const std::string flags = "--epochs 3 --no_augment --finetune_checkpoint " + tuned() + " ";
  ASSERT_EQ(linprobe(2, "plain", flags).status, 0);
  // Three ranks: parts of 67, 67 and 66 images, and batches that do not divide them.
  for (const int ranks : {1, 2, 3}) {
    const std::string name = "cached" + std::to_string(ranks);
    const CommandResult run =
        linprobe(ranks, name, flags + "--cache_features" + (ranks == 3 ? " --batch_size 13" : ""));
    ASSERT_EQ(run.status, 0) << run.output;
    EXPECT_NE(run.output.find("features of 250 images"), std::string::npos) << run.output;
    EXPECT_NE(run.output.find(" mfu "), std::string::npos) << run.output;
    EXPECT_EQ(column(out(name) + "/steps.jsonl", "tokens_per_s").back(), "0.0") << "no token is computed again";
  }
  expect_near("cached1", "plain", 1e-4);  // another order of sums
  expect_near("cached2", "plain", 1e-5);
  for (const std::string key : {"test_acc1", "test_loss"}) {
    const double plain = std::stod(column(out("plain") + "/log.txt", key).back());
    EXPECT_NEAR(std::stod(column(out("cached2") + "/log.txt", key).back()), plain, 1e-4 * plain) << key;
  }
}

// With cached features the next forward pass, which changes the statistics of BatchNorm, comes at once.
TEST_F(LinprobeTest, ASaveBesideTrainingHasTheStatisticsOfItsStep) {
  const std::string flags =
      "--epochs 2 --no_augment --cache_features --keep_last 100 --finetune_checkpoint " + tuned() + " ";
  ASSERT_EQ(linprobe(1, "beside", flags + "--save_every_steps 1").status, 0);
  ASSERT_EQ(linprobe(1, "waiting", flags + "--save_every_steps 1 --async_save false").status, 0);
  for (const std::string step : {"1", "2", "4"}) {
    const CommandResult compared = tessera_ckpt("diff " + out("beside") + "/checkpoint-step-" + step + " " +
                                                out("waiting") + "/checkpoint-step-" + step);
    EXPECT_EQ(compared.status, 0) << compared.output;
    EXPECT_NE(compared.output.find("6 tensors are the same"), std::string::npos) << "head and statistics";
  }
}

TEST_F(LinprobeTest, RefusesWhatItCannotDo) {
  const auto refused = [&](const std::string& flags, const std::string& words) {
    const CommandResult run = linprobe(1, "refused", flags);
    EXPECT_EQ(run.status, 2) << flags << "\n" << run.output;
    EXPECT_NE(run.output.find(words), std::string::npos) << flags << "\n" << run.output;
  };
  const std::string from = "--finetune_checkpoint " + tuned() + " ";
  refused("", "no weights are to be probed");
  refused(from + "--random_init", "different weights");
  refused(from + "--cache_features", "--no_augment");
  refused(from + "--layer_decay 0.5", "layer_decay is not a flag of 'tessera linprobe'");
  refused("--finetune_checkpoint " + shared("model.pth"), "does not say --dataset");
  refused(from + "--epochs 1 --warmup_epochs 1", "must be shorter");
  ASSERT_EQ(linprobe(1, "probe", from + "--epochs 2").status, 0);
  const CommandResult tuning =
      finetune(1, shared("data"), out("probe"), "--epochs 2 --batch_size 40 --opt lars --resume auto");
  EXPECT_EQ(tuning.status, 2);
  EXPECT_NE(tuning.output.find("kind of run: linear probe in the checkpoint, fine-tuning now"), std::string::npos)
      << tuning.output;
  ASSERT_EQ(linprobe(1, "half", from + "--epochs 2 --max_steps 3").status, 0);
  ASSERT_EQ(finetune(1, shared("data"), out("other"), "--epochs 1 --batch_size 40 --seed 9").status, 0);
  const CommandResult moved =
      linprobe(1, "half", "--epochs 2 --resume auto --finetune_checkpoint " + out("other") + "/checkpoint-final");
  EXPECT_EQ(moved.status, 2);
  EXPECT_NE(moved.output.find("not the one whose features"), std::string::npos) << moved.output;
}

}  // namespace
}  // namespace tessera::test

// --optimizer_state_dtype through the life of a run: what it trains, how it is saved, resumed and converted.
#include "support/small_run.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace tessera::test {
namespace {

// 200 images, 40 a step, 10 steps.
class StateDTypeTest : public testing::Test {
 protected:
  void SetUp() override { write_small_dataset(data(), 200, 50); }
  [[nodiscard]] std::string data() const { return out("data"); }
  [[nodiscard]] std::string out(const std::string& name) const { return scratch_.file(name); }

  // What the program says.
  std::string run(int ranks, const std::string& output, const std::string& flags) const {
    const std::string epochs = flags.find("--epochs ") == std::string::npos ? "--epochs 2 " : "";
    const CommandResult result =
        finetune(ranks, data(), out(output), epochs + "--batch_size " + std::to_string(40 / ranks) + " " + flags);
    EXPECT_EQ(result.status, 0) << result.output;
    return result.output;
  }
  [[nodiscard]] std::vector<std::string> losses(const std::string& output) const {
    return column(out(output) + "/steps.jsonl", "loss");
  }
  static void expect_in(const std::string& text, const std::string& words) {
    EXPECT_NE(text.find(words), std::string::npos) << words << " is not in\n" << text;
  }

  ScratchDirectory scratch_;
};

TEST_F(StateDTypeTest, GoesOnBitForBit) {
  for (const std::string kept : {"bf16", "8bit"}) {
    const std::string name = kept + "-";
    const std::string flags = "--zero_stage 2 --optimizer_state_dtype " + kept;
    run(2, name + "whole", flags);
    run(2, name + "parts", flags + " --max_steps 4");
    run(2, name + "parts", flags + " --resume auto");
    EXPECT_EQ(losses(name + "parts"), losses(name + "whole")) << kept;
    run(2, name + "replicated", "--optimizer_state_dtype " + kept);
    EXPECT_EQ(losses(name + "replicated"), losses(name + "whole")) << kept << ": the stage changes no bit";
    run(1, name + "moved", flags + " --resume " + out(name + "parts") + "/checkpoint-step-4");
    EXPECT_NEAR(std::stod(losses(name + "moved").back()), std::stod(losses(name + "whole").back()), 1e-3) << kept;
  }
}

// Every optimizer learns as with moments in fp32. In 8 bits they err by more.
TEST_F(StateDTypeTest, LearnsAsInFp32) {
  for (const std::string optimizer : {"adamw --blr 0.02", "sgd --blr 0.5"}) {
    const std::string wide = optimizer.substr(0, optimizer.find(' '));
    const std::string flags = "--opt " + optimizer + " --epochs 10";
    run(1, wide, flags);
    const double first = std::stod(losses(wide).front());
    const double expected = std::stod(losses(wide).back());
    EXPECT_LT(expected, 0.95 * first) << optimizer << " should learn";
    for (const auto& [kept, bound] : {std::pair<std::string, double>{"bf16", 0.02}, {"8bit", 0.05}}) {
      run(1, wide + kept, flags + " --optimizer_state_dtype " + kept);
      EXPECT_NE(losses(wide + kept), losses(wide)) << "it has an effect";
      EXPECT_NEAR(std::stod(losses(wide + kept).back()), expected, bound * (first - expected)) << optimizer << kept;
    }
  }
}

// A checkpoint has the numbers that the codes stand for.
TEST_F(StateDTypeTest, In8BitsIsConvertedFromAndToEverything) {
  run(1, "8bit", "--optimizer_state_dtype 8bit --max_steps 4");
  const std::string checkpoint = out("8bit") + "/checkpoint-step-4";
  expect_in(tessera_ckpt("inspect " + checkpoint).output, "exp_avg exp_avg_sq fp32");
  EXPECT_EQ(tessera_ckpt("verify " + checkpoint).status, 0);
  EXPECT_EQ(tessera_ckpt("consolidate " + checkpoint + " --output " + out("model.safetensors")).status, 0);
  run(1, "steady", "--optimizer_state_dtype 8bit --resume " + checkpoint + " --max_steps 5");
  for (const std::string next : {"fp32", "bf16"}) {
    const std::string said = "--optimizer_state_dtype (moments are converted): ";
    expect_in(run(1, next, "--optimizer_state_dtype " + next + " --resume " + checkpoint + " --max_steps 5"),
              said + "8bit in the checkpoint, " + next + " now");
    EXPECT_EQ(losses(next).back(), losses("steady").back()) << "the step's loss is of weights that were there before";
    expect_in(run(1, next + "back",
                  "--optimizer_state_dtype 8bit --resume " + out(next) + "/checkpoint-step-5 --max_steps 6"),
              said + next + " in the checkpoint, 8bit now");
  }
}

TEST_F(StateDTypeTest, IsConvertedAndSaysSo) {
  run(1, "bf16", "--optimizer_state_dtype bf16 --max_steps 4");
  const std::string checkpoint = out("bf16") + "/checkpoint-step-4";
  expect_in(tessera_ckpt("inspect " + checkpoint).output, "exp_avg exp_avg_sq bf16");
  EXPECT_EQ(tessera_ckpt("verify " + checkpoint).status, 0);
  const std::string said = "--optimizer_state_dtype (moments are converted): bf16 in the checkpoint, fp32 now";
  expect_in(run(1, "wide", "--resume " + checkpoint + " --max_steps 5"), said);
  const std::string wide = out("wide") + "/checkpoint-step-5";
  expect_in(tessera_ckpt("inspect " + wide).output, "exp_avg exp_avg_sq fp32");
  // From bf16 to fp32 nothing is lost: the step has the loss that it would have had.
  run(1, "steady", "--optimizer_state_dtype bf16 --resume " + checkpoint + " --max_steps 5");
  EXPECT_EQ(losses("wide").back(), losses("steady").back());
  expect_in(run(1, "narrow", "--optimizer_state_dtype bf16 --resume " + wide + " --max_steps 6"),
            "fp32 in the checkpoint, bf16 now");
  const CommandResult diff = tessera_ckpt("diff " + wide + " " + out("steady") + "/checkpoint-step-5");
  expect_in(diff.output, "exp_avg");
  EXPECT_EQ(tessera_ckpt("consolidate " + checkpoint + " --output " + out("model.safetensors")).status, 0);
}

TEST_F(StateDTypeTest, RefusesWhatItIsNot) {
  const CommandResult result = finetune(1, data(), out("none"), "--optimizer_state_dtype int4");
  EXPECT_EQ(result.status, 2);
  expect_in(result.output, "--optimizer_state_dtype must be fp32, bf16 or 8bit, not 'int4'");
}

}  // namespace
}  // namespace tessera::test

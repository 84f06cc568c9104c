// --optimizer_state_dtype through the life of a run: what it trains, how it is saved, resumed and converted.
#include "support/small_run.hpp"

#include <gtest/gtest.h>

#include <string>
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
  const std::string flags = "--zero_stage 2 --optimizer_state_dtype bf16";
  run(2, "whole", flags);
  run(2, "parts", flags + " --max_steps 4");
  run(2, "parts", flags + " --resume auto");
  EXPECT_EQ(losses("parts"), losses("whole"));
  run(2, "replicated", "--optimizer_state_dtype bf16");
  EXPECT_EQ(losses("replicated"), losses("whole")) << "the stage changes no bit";
  run(1, "moved", flags + " --resume " + out("parts") + "/checkpoint-step-4");
  EXPECT_NEAR(std::stod(losses("moved").back()), std::stod(losses("whole").back()), 1e-3);
}

// Every optimizer learns as with moments in fp32.
TEST_F(StateDTypeTest, LearnsAsInFp32) {
  for (const std::string optimizer : {"adamw --blr 0.02", "sgd --blr 0.5"}) {
    const std::string wide = optimizer.substr(0, optimizer.find(' '));
    const std::string flags = "--opt " + optimizer + " --epochs 10";
    run(1, wide, flags);
    const double first = std::stod(losses(wide).front());
    const double expected = std::stod(losses(wide).back());
    EXPECT_LT(expected, 0.95 * first) << optimizer << " should learn";
    run(1, wide + "bf16", flags + " --optimizer_state_dtype bf16");
    EXPECT_NE(losses(wide + "bf16"), losses(wide)) << "it has an effect";
    EXPECT_NEAR(std::stod(losses(wide + "bf16").back()), expected, 0.02 * (first - expected)) << optimizer;
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
  expect_in(result.output, "--optimizer_state_dtype must be fp32 or bf16, not 'int4'");
}

}  // namespace
}  // namespace tessera::test

// The recipe's flags in the program itself: what each changes in a run's figures.
#include "support/small_run.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

namespace tessera::test {
namespace {

// 200 images, 40 a step: 5 steps an epoch.
class RecipeTest : public testing::Test {
 protected:
  void SetUp() override { write_small_dataset(data(), 200, 50); }
  [[nodiscard]] std::string data() const { return scratch_.file("data"); }
  [[nodiscard]] std::string out(const std::string& name) const { return scratch_.file(name); }

  CommandResult run(int ranks, const std::string& output, const std::string& flags) const {
    return finetune(ranks, data(), out(output), "--batch_size " + std::to_string(40 / ranks) + " " + flags);
  }
  [[nodiscard]] std::vector<double> figures(const std::string& output, const std::string& key) const {
    std::vector<double> values;
    for (const std::string& text : column(out(output) + "/steps.jsonl", key)) {
      values.push_back(std::stod(text));
    }
    return values;
  }

  ScratchDirectory scratch_;
};

TEST_F(RecipeTest, TheLearningRateIsWarmUpAndHalfACosine) {
  const CommandResult result = run(1, "run", "--epochs 3 --warmup_steps 4 --lr 0.01 --min_lr 0.001");
  ASSERT_EQ(result.status, 0) << result.output;
  const std::vector<double> rates = figures("run", "lr");
  ASSERT_EQ(rates.size(), 15U);
  for (int step = 0; step < 15; ++step) {
    const double progress = (step - 4) / 11.0;
    const double expected =
        step < 4 ? 0.01 * step / 4 : 0.001 + 0.009 * 0.5 * (1 + std::cos(std::numbers::pi * progress));
    EXPECT_NEAR(rates[static_cast<std::size_t>(step)], expected, 1e-12) << step;
  }
  ASSERT_EQ(run(1, "epochs", "--epochs 3 --warmup_epochs 0.8 --lr 0.01 --min_lr 0.001").status, 0);
  EXPECT_EQ(figures("epochs", "lr"), rates) << "0.8 epochs are 4 steps";
  const CommandResult refused = run(1, "refused", "--epochs 3 --warmup_steps 15");
  EXPECT_EQ(refused.status, 2);
  EXPECT_NE(refused.output.find("shorter than the run of 15 steps"), std::string::npos) << refused.output;
}

// Drawn by seed, epoch and image: another world, accumulation or a resumed run has the same branches dropped. The order
// of sums alone differs, by far less than a branch more or less would.
TEST_F(RecipeTest, DropPathIsTheSameOnAnyRanksAndWhenResumed) {
  const std::string flags = "--epochs 2 --drop_path 0.4 ";
  ASSERT_EQ(run(1, "whole", flags + "--save_every_steps 3").status, 0);
  ASSERT_EQ(run(1, "without", "--epochs 2").status, 0);
  const std::vector<double> whole = figures("whole", "loss");
  EXPECT_GT(std::abs(whole.at(1) - figures("without", "loss").at(1)), 5e-4);

  ASSERT_EQ(run(2, "ranks", flags + "--zero_stage 2").status, 0);
  ASSERT_EQ(finetune(1, data(), out("accumulated"), flags + "--batch_size 10 --accum_iter 4").status, 0);
  for (const char* const other : {"ranks", "accumulated"}) {
    const std::vector<double> losses = figures(other, "loss");
    ASSERT_EQ(losses.size(), 10U);
    for (std::size_t step = 0; step < 10; ++step) {
      EXPECT_NEAR(losses[step], whole[step], 1e-4) << other << " " << step;
    }
  }
  ASSERT_EQ(run(1, "resumed", flags + "--resume " + out("whole") + "/checkpoint-step-3").status, 0);
  const std::vector<double> resumed = figures("resumed", "loss");
  EXPECT_EQ(resumed, std::vector<double>(whole.begin() + 3, whole.end())) << "bit for bit";
}

}  // namespace
}  // namespace tessera::test

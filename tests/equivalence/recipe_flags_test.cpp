// Every flag of the recipe that no other test of the program gives: what it changes in a run, and what it leaves.
#include "support/small_run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace tessera::test {
namespace {

using Column = std::vector<std::string>;

// 200 images, 40 a step, and three steps of them.
class RecipeFlagsTest : public testing::Test {
 protected:
  void SetUp() override { write_small_dataset(data(), 200, 50); }
  [[nodiscard]] std::string data() const { return out("data"); }
  [[nodiscard]] std::string out(const std::string& name) const { return scratch_.file(name); }

  // A run's column, one value a step.
  [[nodiscard]] Column run(const std::string& flags, const std::string& key = "loss", int ranks = 1) {
    const std::string name = out("run" + std::to_string(num_runs_++));
    const std::string batch = " --batch_size " + std::to_string(40 / ranks);
    const CommandResult result =
        finetune(ranks, data(), name,
                 flags + (flags.find("--batch_size") == std::string::npos ? batch : "") + " --epochs 1 --max_steps 3");
    EXPECT_EQ(result.status, 0) << flags << "\n" << result.output;
    Column values = column(name + "/steps.jsonl", key);
    EXPECT_EQ(values.size(), 3U) << flags;
    values.resize(3);
    return values;
  }
  void expect_changed_from_step(std::size_t first, const std::string& flags, const Column& base) {
    const Column changed = run(flags);
    for (std::size_t step = 0; step < 3; ++step) {
      EXPECT_EQ(changed[step] != base[step], step >= first) << flags << ": step " << step;
    }
  }

  ScratchDirectory scratch_;
  int num_runs_ = 0;
};

// The first update is at a learning rate of 0 (warm-up begins there): what works through an update shows in step 2.
TEST_F(RecipeFlagsTest, WhatWorksInAnUpdateShowsAfterIt) {
  const Column base = run("");
  expect_changed_from_step(2, "--weight_decay 5", base);
  expect_changed_from_step(2, "--layer_decay 0.5", base);
  expect_changed_from_step(2, "--clip_grad 0.001 --opt sgd", run("--opt sgd"));
  expect_changed_from_step(0, "--smoothing 0", base);
  EXPECT_EQ(run("--clip_grad 0"), base) << "no clipping";
  EXPECT_EQ(run("--layer_decay 1"), base);
  EXPECT_EQ(run("--clip_grad 0.001", "grad_norm")[0], run("", "grad_norm")[0]) << "the norm before clipping is told";
}

TEST_F(RecipeFlagsTest, MixingIsAsItsFlagsSay) {
  const Column plain = run("");
  const Column mixup = run("--mixup 0.8");
  const Column cutmix = run("--cutmix 1");
  const std::string both = "--mixup 0.8 --cutmix 1 ";
  EXPECT_EQ(run("--mixup 0.8 --mixup_prob 0"), plain);
  EXPECT_NE(run(both), mixup);
  EXPECT_NE(run(both + "--mixup_switch_prob 0"), run(both + "--mixup_switch_prob 1"));
  EXPECT_NE(run("--cutmix_minmax 0.2 0.8"), cutmix);
  Column modes{mixup[0]};  // by batch
  for (const std::string mode : {"pair", "elem"}) {
    const Column losses = run("--mixup 0.8 --mixup_mode " + mode);
    EXPECT_EQ(std::ranges::find(modes, losses[0]), modes.end()) << mode;
    modes.push_back(losses[0]);
  }
}

TEST_F(RecipeFlagsTest, ErasingIsAsItsFlagsSay) {
  Column kinds{run("")[0]};
  for (const std::string flags : {"--remode pixel", "--remode rand", "--remode const", "--remode const --recount 3"}) {
    const Column losses = run("--reprob 0.9 " + flags);
    EXPECT_EQ(std::ranges::find(kinds, losses[0]), kinds.end()) << flags;
    kinds.push_back(losses[0]);
  }
  EXPECT_EQ(run("--reprob 0.9")[0], kinds[1]) << "pixel is the default";
}

TEST_F(RecipeFlagsTest, WhatOnlySaysHowLeavesTheFigures) {
  const Column base = run("");
  for (const std::string flags : {"--gradient_checkpointing", "--collectives mpi --zero_stage 1", "--deepspeed",
                                  "--nb_classes 10 --dist_eval --pin_mem --start_epoch 0"}) {
    EXPECT_EQ(run(flags), base) << flags;
  }
  const Column rounded = run("--dtype bf16");
  EXPECT_NE(rounded, base);
  EXPECT_NEAR(std::stod(rounded[0]), std::stod(base[0]), 0.02 * std::stod(base[0]));
  EXPECT_EQ(run("--deepspeed", "loss", 2), run("--zero_stage 2", "loss", 2));
}

TEST_F(RecipeFlagsTest, TheOldNamesAreTheNewOnes) {
  write_file(out("zero.json"), R"({"zero_optimization": {"stage": 2}, "gradient_clipping": 0.5,
    "train_micro_batch_size_per_gpu": "auto", "gradient_accumulation_steps": 2,
    "optimizer": {"type": "AdamW", "params": {"lr": 0.01, "weight_decay": 0.1}}})");
  const Column flags =
      run("--zero_stage 2 --clip_grad 0.5 --accum_iter 2 --lr 0.01 --weight_decay 0.1 --batch_size 20");
  // finetune() of the tests gives --blr unless it sees "lr ".
  EXPECT_EQ(run("--lr 0.01 --batch_size 20 --config " + out("zero.json")), flags);
  EXPECT_EQ(run("--lr 0.01 --batch_size 20 --deepspeed --deepspeed_config " + out("zero.json")), flags);
  EXPECT_NEAR(std::stod(run("--blr 0.064", "lr")[1]), std::stod(run("--lr 0.01", "lr")[1]), 1e-12) << "x 40 / 256";
}

TEST_F(RecipeFlagsTest, PretrainedWeightsAreTaken) {
  const std::string hub = std::string(TESSERA_TEST_DATA) + "/qwen3/hub_tied_bf16";
  const auto tune = [&](const std::string& name, const std::string& flags) {
    const CommandResult result =
        tessera("finetune --device cpu --dataset fashion-mnist --data_path " + data() + " --pretrained_model_path " +
                hub + " --input_size 28 --patch_size 7 --batch_size 40 --epochs 1 --warmup_epochs 0.5 --max_steps 1 " +
                "--output_dir " + out(name) + flags);
    EXPECT_EQ(result.status, 0) << result.output;
    return column(out(name) + "/steps.jsonl", "loss").at(0);
  };
  EXPECT_NE(tune("loaded", " --load_pretrained"), tune("random", " --random_init"));
  const CommandResult neither =
      tessera("finetune --device cpu --dataset fashion-mnist --data_path " + data() + " --pretrained_model_path " +
              hub + " --input_size 28 --patch_size 7 --batch_size 40 --epochs 1 --warmup_epochs 0.5 --max_steps 1");
  EXPECT_NE(neither.output.find("neither --load_pretrained nor --random_init was given"), std::string::npos)
      << neither.output;
}

TEST_F(RecipeFlagsTest, FilesGoWhereTheyShould) {
  const std::string flags = "--epochs 1 --batch_size 40 --save_every_minutes 0.000001 --log_dir " + out("logs");
  ASSERT_EQ(finetune(1, data(), out("run"), flags).status, 0);
  int num_events = 0;
  for (const auto& entry : std::filesystem::directory_iterator(out("logs"))) {
    num_events += entry.path().filename().string().starts_with("events.out.tfevents.") ? 1 : 0;
  }
  EXPECT_EQ(num_events, 1);
  EXPECT_TRUE(std::filesystem::exists(out("run") + "/checkpoint-step-2")) << "a moment has passed after every step";
  const CommandResult evaluated = finetune(1, data(), out("run"), "--epochs 1 --batch_size 40 --resume auto --eval");
  ASSERT_EQ(evaluated.status, 0) << evaluated.output;
  write_file(out("eval.json"), evaluated.output);
  EXPECT_EQ(column(out("eval.json"), "test_acc1").at(0), column(out("run") + "/log.txt", "test_acc1").at(0));
}

}  // namespace
}  // namespace tessera::test

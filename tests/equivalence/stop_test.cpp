// What is stopped in order, by a signal or a limit of time, exits with 75 and goes on as if it had never stopped.
#include "support/small_run.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

namespace tessera::test {
namespace {

constexpr int kStoppedEarly = 75;

// 200 images, 40 a step, of 49 tokens each: 5 steps an epoch, long enough to be met by a signal.
class StopTest : public testing::Test {
 protected:
  void SetUp() override { write_small_dataset(data(), 200, 50); }
  [[nodiscard]] std::string data() const { return scratch_.file("data"); }
  [[nodiscard]] std::string out(const std::string& name) const { return scratch_.file(name); }

  [[nodiscard]] CommandResult run(int ranks, const std::string& output, const std::string& flags) const {
    const bool has_epochs = flags.find("--epochs") != std::string::npos;
    return finetune(ranks, data(), output.empty() ? "" : out(output),
                    (has_epochs ? "" : "--epochs 8 --save_every_epochs 3 ") + flags +
                        " --input_size 28 --patch_size 4 --zero_stage 2 --batch_size " + std::to_string(40 / ranks));
  }

  // Once `ready`, the signal to every process of the test's runs, or with `which` "-n" to the newest.
  void signal_when(const std::function<bool()>& ready, const std::string& signal, const std::string& which = "") const {
    const auto start = std::chrono::steady_clock::now();
    while (!ready() && std::chrono::steady_clock::now() - start < std::chrono::seconds(60)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    run_command("pkill -" + signal + " " + which + " -f '^[^ ]*tessera finetun[e].*" + data() + "'");
  }
  [[nodiscard]] CommandResult run_signalled(int ranks, const std::string& output, const std::string& flags,
                                            const std::string& signal, std::size_t steps,
                                            const std::string& which = "") const {
    CommandResult result;
    std::thread runner([&] { result = run(ranks, output, flags); });
    const std::string log = out(output) + "/steps.jsonl";
    signal_when([&] { return std::filesystem::exists(log) && column(log, "step").size() >= steps; }, signal, which);
    runner.join();
    return result;
  }

  void expect_alike(const std::string& a, const std::string& b) const {
    for (const std::string key : {"step", "loss", "lr", "grad_norm"}) {
      EXPECT_EQ(column(out(a) + "/steps.jsonl", key), column(out(b) + "/steps.jsonl", key)) << key;
    }
    for (const std::string key : {"train_loss", "train_acc1", "test_loss", "test_acc1"}) {
      EXPECT_EQ(column(out(a) + "/log.txt", key), column(out(b) + "/log.txt", key)) << key;
    }
    EXPECT_EQ(consolidated(a), consolidated(b)) << "the consolidated files, byte for byte";
  }
  [[nodiscard]] std::string consolidated(const std::string& output) const {
    const std::string file = out(output + ".safetensors");
    const CommandResult result = tessera_ckpt("consolidate " + out(output) + "/checkpoint-final --output " + file);
    EXPECT_EQ(result.status, 0) << result.output;
    return read_file(file);
  }

  ScratchDirectory scratch_;
};

TEST_F(StopTest, ASignalOfOneRankStopsAllAndTheRunGoesOn) {
  for (const int ranks : {1, 2}) {
    const std::string whole = "whole" + std::to_string(ranks);
    const std::string parts = "parts" + std::to_string(ranks);
    ASSERT_EQ(run(ranks, whole, "").status, 0);
    CommandResult result = run_signalled(ranks, parts, "", "USR1", 2, "-n");
    ASSERT_EQ(result.status, kStoppedEarly) << result.output;
    EXPECT_NE(result.output.find("SIGUSR1: stopped after "), std::string::npos) << result.output;
    EXPECT_NE(result.output.find("which " + out(parts) + "/checkpoint-step-"), std::string::npos) << result.output;
    result = run_signalled(ranks, parts, "--resume auto", "TERM", 12);
    ASSERT_EQ(result.status, kStoppedEarly) << result.output;
    EXPECT_NE(result.output.find("SIGTERM: stopped after "), std::string::npos) << result.output;
    result = run(ranks, parts, "--resume auto");
    ASSERT_EQ(result.status, 0) << result.output;
    expect_alike(whole, parts);
  }
}

TEST_F(StopTest, ARunOfManyShortJobsIsTheSameRun) {
  const std::string flags = "--epochs 3 ";
  ASSERT_EQ(run(2, "whole", flags).status, 0);
  CommandResult result = run(2, "parts", flags + "--max_minutes 0.005");
  ASSERT_EQ(result.status, kStoppedEarly) << result.output;
  EXPECT_NE(result.output.find("--max_minutes 0.005: stopped after"), std::string::npos) << result.output;
  for (int job = 0; job < 20 && result.status == kStoppedEarly; ++job) {  // each makes a few steps at least
    result = run(2, "parts", flags + "--max_minutes 0.01 --resume auto");
  }
  ASSERT_EQ(result.status, 0) << result.output;
  expect_alike("whole", "parts");
}

// The signal meets the only epoch's evaluation, or the step before it.
TEST_F(StopTest, AnEvaluationIsLeftAndDoneAfterwards) {
  write_small_dataset(data(), 200, 2000);
  const std::string flags = "--epochs 1 ";
  ASSERT_EQ(run(2, "whole", flags).status, 0);
  CommandResult result = run_signalled(2, "parts", flags, "USR1", 5);
  ASSERT_EQ(result.status, kStoppedEarly) << result.output;
  EXPECT_TRUE(std::filesystem::exists(out("parts") + "/checkpoint-step-5")) << result.output;
  EXPECT_TRUE(column(out("parts") + "/log.txt", "test_acc1").empty()) << "no half of an evaluation";
  result = run(2, "parts", flags + "--resume auto");
  ASSERT_EQ(result.status, 0) << result.output;
  expect_alike("whole", "parts");
}

TEST_F(StopTest, TheEndOfTheJobIsKnownFromSlurm) {
  std::filesystem::create_directories(out("bin"));
  const std::string squeue = out("bin") + "/squeue";
  write_file(squeue, "#!/bin/sh\necho \"$@\" >" + out("asked") + "\ndate -d '+10 seconds' +%FT%T\n");
  std::filesystem::permissions(squeue, std::filesystem::perms::owner_all);
  // Alone: mpirun, started by its full path, would put the system's squeue before this one.
  const auto in_job = [&](const std::string& environment, const std::string& output) {
    return run_command("env PATH=" + out("bin") + ":\"$PATH\" SLURM_JOB_ID=77 " + environment + " timeout -k 5 60 " +
                       TESSERA_BIN + " finetune --device cpu --dataset fashion-mnist --data_path " + data() +
                       " --model_config " + data() + "/model.json --random_init --num_workers 1 --input_size 28 " +
                       "--patch_size 7 --epochs 8 --warmup_epochs 0.5 --batch_size 40 --output_dir " + out(output));
  };
  CommandResult result = in_job("", "asked_run");
  EXPECT_EQ(result.status, kStoppedEarly) << result.output;
  EXPECT_NE(result.output.find(": stopped after "), std::string::npos) << result.output;
  EXPECT_EQ(read_file(out("asked")), "--noheader --jobs 77 --format %e\n");
  result = in_job("SLURM_ARRAY_JOB_ID=75 SLURM_ARRAY_TASK_ID=2", "task_run");
  EXPECT_EQ(read_file(out("asked")), "--noheader --jobs 75_2 --format %e\n");
  result = in_job("SLURM_JOB_END_TIME=$(date -d '+2 hours' +%s)", "long_run");
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("the job ends at "), std::string::npos) << result.output;
}

TEST_F(StopTest, NothingToGoOnFromIsNoSuccess) {
  CommandResult result;
  std::thread runner([&] { result = run(1, "", "--epochs 5000 --log_dir " + out("logs")); });
  signal_when([&] { return std::filesystem::exists(out("logs")); }, "USR1");
  runner.join();
  EXPECT_EQ(result.status, 1) << result.output;
  EXPECT_NE(result.output.find("nothing is saved without --output_dir"), std::string::npos) << result.output;
  const CommandResult refused = finetune(1, data(), "", "--max_minutes 3");
  EXPECT_EQ(refused.status, 2);
  EXPECT_NE(refused.output.find("--max_minutes needs --output_dir"), std::string::npos) << refused.output;
}

}  // namespace
}  // namespace tessera::test

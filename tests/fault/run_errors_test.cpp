// Bad input is one clear message and status 2 before training; a failure later ends every rank soon, and names itself.
#include "support/small_run.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

namespace tessera::test {
namespace {

class RunErrors : public testing::Test {
 protected:
  void SetUp() override { write_small_dataset(data(), 200, 50); }
  [[nodiscard]] std::string data() const { return scratch_.file("data"); }

  static int count(const std::string& text, const std::string& part) {
    int found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
      ++found;
    }
    return found;
  }

  // Two ranks: one message, status 2, and nothing trained.
  void expect_refused(const std::string& flags, const std::string& words) const {
    const std::string output = scratch_.file("out");
    const CommandResult result = finetune(2, data(), output, flags);
    EXPECT_EQ(result.status, 2) << flags << "\n" << result.output;
    EXPECT_EQ(count(result.output, "error: "), 1) << flags << "\n" << result.output;
    EXPECT_NE(result.output.find(words), std::string::npos) << flags << "\n" << result.output;
    EXPECT_EQ(result.output.find("epoch 0 ["), std::string::npos) << "training began: " << result.output;
    std::filesystem::remove_all(output);
  }

  ScratchDirectory scratch_;
};

TEST_F(RunErrors, FlagsAndJson) {
  expect_refused("--epoch 3", "--epochs");
  expect_refused("--epochs three", "three");
  expect_refused("--start_epoch 3", "start_epoch");
  expect_refused("--mixup 0.8 --batch_size 5", "--batch_size is 5");
  write_file(scratch_.file("bad.json"), "{\"zero_optimization\": {\"stagge\": 2}}");
  expect_refused("--config " + scratch_.file("bad.json"), "stagge");
  write_file(scratch_.file("torn.json"), "{\"zero_optimization\": ");
  expect_refused("--config " + scratch_.file("torn.json"), "torn.json");
  expect_refused("--config " + scratch_.file("absent.json"), "absent.json");
}

TEST_F(RunErrors, AnAnswerThatCannotBeWritten) {
  const CommandResult result = run_command("(" + std::string(TESSERA_BIN) + " config >/dev/full)");
  EXPECT_EQ(result.status, 1) << result.output;
  EXPECT_NE(result.output.find("cannot write to stdout: "), std::string::npos) << result.output;
}

TEST_F(RunErrors, Data) {
  const std::string images = data() + "/train-images-idx3-ubyte";
  const std::string whole = read_file(images);
  write_file(images, whole.substr(0, whole.size() - 100));
  expect_refused("", "train-images-idx3-ubyte");
  std::filesystem::remove(images);
  expect_refused("", "train-images-idx3-ubyte");
  write_file(images, whole);
  const std::string labels = data() + "/train-labels-idx1-ubyte";
  std::string wrong = read_file(labels);
  wrong.back() = 77;
  write_file(labels, wrong);
  expect_refused("", "77");
}

TEST_F(RunErrors, Sizes) {
  expect_refused("--nb_classes 7", "--nb_classes 7");
  expect_refused("--batch_size 300", "fewer than one step");
  std::string model = read_file(data() + "/model.json");
  model.replace(model.find("\"num_attention_heads\": 4"), 24, "\"num_attention_heads\": 3");
  write_file(data() + "/model.json", model);
  expect_refused("", "num_attention_heads");
}

TEST_F(RunErrors, WeightsThatCannotBeRead) {
  const std::string hub = scratch_.file("hub");
  std::filesystem::create_directories(hub);
  std::filesystem::copy(data() + "/model.json", hub + "/config.json");
  const auto refused = [&](const std::string& words) {
    const CommandResult result = run_command(
        "timeout 60 " + std::string(TESSERA_BIN) + " finetune --device cpu --dataset fashion-mnist --data_path " +
        data() + " --pretrained_model_path " + hub + " --load_pretrained --input_size 28 --patch_size 7");
    EXPECT_EQ(result.status, 2) << result.output;
    EXPECT_NE(result.output.find(words), std::string::npos) << result.output;
  };
  refused("model.safetensors");
  write_file(hub + "/model.safetensors", "not a safetensors file");
  refused("model.safetensors");
  std::filesystem::copy(std::string(TESSERA_TEST_DATA) + "/qwen3/hub_fp16/model.safetensors",
                        hub + "/model.safetensors", std::filesystem::copy_options::overwrite_existing);
  refused("mis-shaped");
}

TEST_F(RunErrors, OutputThatCannotBeWritten) {
  write_file(scratch_.file("out"), "a file where the directory should be");
  const CommandResult result = finetune(2, data(), scratch_.file("out"), "");
  EXPECT_EQ(result.status, 2) << result.output;
  EXPECT_NE(result.output.find("cannot be written"), std::string::npos) << result.output;
}

TEST_F(RunErrors, TooLittleMemoryByThePlan) {
  expect_refused("--batch_size 90 --input_size 27888 --patch_size 3486", "of host memory on this node by the plan");
  ::setenv("SLURM_MEM_PER_NODE", "1", 1);  // MiB, less than the ranks have by then
  expect_refused("", "0 B is left of what Slurm grants on the node (--mem, SLURM_MEM_PER_NODE)");
  ::unsetenv("SLURM_MEM_PER_NODE");
}

TEST_F(RunErrors, AKilledRankEndsTheRun) {
  using Clock = std::chrono::steady_clock;
  CommandResult result;
  std::thread runner([&] { result = finetune(2, data(), scratch_.file("out"), "--epochs 5000 --batch_size 20"); });
  const std::string steps = scratch_.file("out/steps.jsonl");
  while (!std::filesystem::exists(steps) || std::filesystem::file_size(steps) < 500) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  const auto killed = Clock::now();
  run_command("pkill -9 -n -f 'tessera finetun[e].*" + scratch_.file("out") + "'");
  runner.join();
  EXPECT_LT(std::chrono::duration<double>(Clock::now() - killed).count(), 10.0);
  EXPECT_NE(result.status, 0);
}

// With a checkpoint under way most of the time.
TEST_F(RunErrors, AKilledRankLeavesAWholeCheckpoint) {
  const std::string output = scratch_.file("out");
  CommandResult result;
  std::thread runner([&] {
    result =
        finetune(2, data(), output, "--zero_stage 2 --epochs 5000 --batch_size 20 --save_every_steps 1 --keep_last 2");
  });
  while (!std::filesystem::exists(output + "/checkpoint-step-12")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  run_command("pkill -9 -n -f 'tessera finetun[e].*" + output + "'");
  runner.join();
  EXPECT_NE(result.status, 0);
  const CommandResult resumed = finetune(
      2, data(), output, "--zero_stage 2 --epochs 5000 --max_steps 30 --batch_size 20 --keep_last 2 --resume auto");
  ASSERT_EQ(resumed.status, 0) << resumed.output;
  EXPECT_NE(resumed.output.find("resumed from " + output + "/checkpoint-step-1"), std::string::npos) << resumed.output;
  EXPECT_EQ(tessera_ckpt("verify " + output + "/checkpoint-step-30").status, 0);
  // What is not whole is never taken in silence.
  std::filesystem::resize_file(output + "/checkpoint-step-30/state.h5", 1000);
  const CommandResult older = finetune(
      2, data(), output, "--zero_stage 2 --epochs 5000 --max_steps 30 --batch_size 20 --keep_last 2 --resume auto");
  EXPECT_EQ(older.status, 0) << older.output;
  EXPECT_NE(older.output.find("checkpoint-step-30 is passed over: "), std::string::npos) << older.output;
  // Where none is, the run that is there is not begun anew over its own records.
  for (const std::string& name : list_directory(output)) {
    if (name.starts_with("checkpoint-")) {
      std::filesystem::resize_file(output + "/" + name + "/state.h5", 1000);
    }
  }
  const std::string records = read_file(output + "/steps.jsonl");
  const CommandResult refused = finetune(2, data(), output, "--epochs 5000 --batch_size 20 --resume auto");
  EXPECT_EQ(refused.status, 2) << refused.output;
  EXPECT_NE(refused.output.find("no checkpoint in " + output + " is whole"), std::string::npos) << refused.output;
  EXPECT_EQ(read_file(output + "/steps.jsonl"), records);
}

// The first update ruins the weights, so that the second step has no loss. What is saved after it is whole, and numbers
// that no file can hold are in none of its sums.
TEST_F(RunErrors, ASkippedStepIsNoEndOfSaving) {
  const CommandResult result = finetune(1, data(), scratch_.file("out"),
                                        "--lr 1e38 --warmup_epochs 0 --batch_size 20 --epochs 2 --max_steps 3 "
                                        "--save_every_steps 2");
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("step 1 was skipped on every rank"), std::string::npos) << result.output;
  const CommandResult run = tessera_ckpt("inspect --json " + scratch_.file("out/checkpoint-step-2"));
  EXPECT_EQ(run.status, 0) << result.output << run.output;
  EXPECT_NE(run.output.find("\"epoch_skipped_steps\": 1,"), std::string::npos) << run.output;
}

// The second rank's last image is damaged: it fails in mid-training, names itself, and takes the other with it.
TEST_F(RunErrors, AFailingRankNamesItself) {
  const std::string folder = scratch_.file("images");
  for (const std::string part : {"train", "val"}) {
    for (const std::string name : {"cat", "dog"}) {
      std::filesystem::create_directories(folder + "/" + part + "/" + name);
      for (int i = 0; i < 20; ++i) {
        std::filesystem::copy(std::string(TESSERA_TEST_DATA) + "/images/color_420.jpg",
                              folder + "/" + part + "/" + name + "/" + std::to_string(i) + ".jpg");
      }
    }
  }
  write_file(folder + "/train/dog/7.jpg", "no JPEG");
  const auto start = std::chrono::steady_clock::now();
  const CommandResult result = run_command(
      "timeout 60 " + std::string(TESSERA_MPIEXEC) + " --oversubscribe -n 2 " + TESSERA_BIN +
      " finetune --device cpu --dataset imagefolder --data_path " + folder + " --model_config " + data() +
      "/model.json --random_init --input_size 28 --patch_size 7 --batch_size 5 --epochs 5000 --num_workers 1 " +
      "--save_every_steps 1 --output_dir " + scratch_.file("out"));
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 20.0);
  EXPECT_EQ(result.status, 1) << result.output;
  EXPECT_NE(result.output.find("[rank "), std::string::npos) << result.output;
  EXPECT_NE(result.output.find(" on "), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("7.jpg"), std::string::npos) << result.output;
}

}  // namespace
}  // namespace tessera::test

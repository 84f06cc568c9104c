// What DeepSpeed began goes on here: tessera-ckpt import, then tessera finetune --resume, as users run them.
#include "support/small_run.hpp"
#include "tessera/checkpoint/reader.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace tessera::test {
namespace {

using checkpoint::Reader;
using checkpoint::StoredTensor;
using state::Component;

const std::string kFixtures = TESSERA_TEST_DATA "/deepspeed/";

std::vector<float> fp32_values(const Reader& reader, const std::string& parameter, Component component) {
  const StoredTensor* const tensor = reader.find(parameter, component);
  EXPECT_NE(tensor, nullptr) << parameter;
  std::vector<float> values(tensor == nullptr ? 0 : static_cast<std::size_t>(tensor->num_elements()));
  if (tensor != nullptr) {
    reader.read(*tensor, 0, tensor->num_elements(), values.data());
  }
  return values;
}

class ImportedRun : public testing::Test {
 protected:
  void SetUp() override {
    write_small_dataset(data(), 200, 50);
    std::filesystem::copy_file(kFixtures + "model.json", data() + "/model.json",
                               std::filesystem::copy_options::overwrite_existing);
  }
  [[nodiscard]] std::string data() const { return scratch_.file("data"); }
  [[nodiscard]] std::string out(const std::string& name) const { return scratch_.file(name); }

  void import(const std::string& source, const std::string& output, const std::string& flags) const {
    const CommandResult result = tessera_ckpt(
        "import " + kFixtures + source + " --output " + out(output) + " --model_config " + kFixtures +
        "model.json --dataset fashion-mnist --dataset_size 200 --input_size 28 --epochs 3 --warmup_epochs 0.5 " +
        flags);
    ASSERT_EQ(result.status, 0) << result.output;
  }
  // 8 images a step, as the fixtures were trained.
  CommandResult go_on(int ranks, const std::string& output, const std::string& flags) const {
    return finetune(ranks, data(), out(output),
                    "--input_size 28 --patch_size 4 --epochs 3 --resume auto --batch_size " +
                        std::to_string(8 / ranks) + " " + flags);
  }

  ScratchDirectory scratch_;
};

TEST_F(ImportedRun, GoesOnWithItsOptimizerState) {
  import("zero2", "run", "");
  const CommandResult result = go_on(2, "run", "--zero_stage 2 --dtype fp32 --max_steps 5 --save_every_steps 4");
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(column(out("run") + "/steps.jsonl", "step"), (std::vector<std::string>{"3", "4"}));
  const Reader before(out("run") + "/checkpoint-imported");
  const Reader after(out("run") + "/checkpoint-step-4");
  EXPECT_EQ(after.run_state().optimizer_step, 4);
  EXPECT_EQ(after.run_state().step_in_epoch, 4);
  for (const StoredTensor& tensor : before.tensors()) {
    if (tensor.info.component != Component::kExpAvgSq) {
      continue;
    }
    // v' = 0.95 v + 0.05 g^2: nothing of v is lost, whatever the gradient.
    const auto first = fp32_values(before, tensor.info.parameter, Component::kExpAvgSq);
    const auto second = fp32_values(after, tensor.info.parameter, Component::kExpAvgSq);
    ASSERT_EQ(first.size(), second.size());
    bool changed = false;
    for (std::size_t i = 0; i < first.size(); ++i) {
      EXPECT_GE(second[i], 0.9499F * first[i]) << tensor.info.parameter << ", element " << i;
      changed = changed || second[i] != first[i];
    }
    EXPECT_TRUE(changed) << tensor.info.parameter;
  }
}

TEST_F(ImportedRun, GoesOnTheSameOnAnyNumberOfRanks) {
  import("zero1_fp32_gradients", "one", "");
  import("zero1_fp32_gradients", "four", "");
  CommandResult result = go_on(1, "one", "--dtype fp32 --max_steps 6");
  ASSERT_EQ(result.status, 0) << result.output;
  result = go_on(4, "four", "--zero_stage 2 --dtype fp32 --max_steps 6");
  ASSERT_EQ(result.status, 0) << result.output;
  const auto one = column(out("one") + "/steps.jsonl", "loss");
  const auto four = column(out("four") + "/steps.jsonl", "loss");
  ASSERT_EQ(one.size(), 3U);
  ASSERT_EQ(four.size(), 3U);
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_NEAR(std::stod(one[i]), std::stod(four[i]), 1e-4 * std::stod(one[i]));
  }
}

TEST_F(ImportedRun, BeginsFromWeights) {
  import("ddp.pth", "run", "--train_batch_size 8");
  const CommandResult result = go_on(1, "run", "--max_steps 2");
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(column(out("run") + "/steps.jsonl", "step"), (std::vector<std::string>{"0", "1"}));
}

}  // namespace
}  // namespace tessera::test

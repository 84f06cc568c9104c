// The experiments in jobs/, and what is in configs/, on sizes that two cores run in seconds.
#include "support/small_run.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <regex>
#include <string>
#include <vector>

namespace tessera::test {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

const std::vector<std::string> kExperiments{"ddp_zero2", "finetune_linprobe", "memory_table", "pretrained_random",
                                            "resume"};

class JobsTest : public testing::Test {
 protected:
  void SetUp() override { write_small_dataset(file("data"), 160, 40); }
  [[nodiscard]] std::string file(const std::string& name) const { return scratch_.file(name); }

  [[nodiscard]] std::string data_flags() const {
    return " --device cpu --dataset fashion-mnist --data_path " + file("data") +
           " --input_size 28 --patch_size 7 --num_workers 1 --batch_size 10 --accum_iter 1 --epochs 2 --warmup_epochs "
           "0.5 --blr 0.02";
  }
  [[nodiscard]] std::string model() const { return " --model_config " + file("data/model.json"); }

  [[nodiscard]] static CommandResult run(const std::string& experiment, const std::string& arguments) {
    const std::string bin = fs::path(TESSERA_BIN).parent_path().string();
    return run_command("env -u SLURM_JOB_ID timeout -k 5 120 " + std::string(TESSERA_JOBS) + "/" + experiment +
                       ".sh --bin " + bin + " " + arguments);
  }

  static void expect_refused(const CommandResult& result, const std::string& words) {
    EXPECT_EQ(result.status, 2) << result.output;
    EXPECT_NE(result.output.find(words), std::string::npos) << result.output;
  }

  ScratchDirectory scratch_;
};

TEST_F(JobsTest, DataParallelAgainstZero2) {
  const std::string out = file("out");
  const CommandResult result = run("ddp_zero2", "--np 2 --output " + out + " --" + model() + data_flags());
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("zero_stage"), std::string::npos) << "the settings that differ: " << result.output;
  const Json compared = Json::parse(tessera("compare --json " + out + "/ddp " + out + "/zero2").output);
  EXPECT_EQ(compared["by_step"]["loss"]["points"], 16);
  EXPECT_TRUE(compared["by_step"]["loss"]["part_at"].is_null()) << "they do the same sums";
  EXPECT_TRUE(fs::exists(out + "/curves.svg"));
  EXPECT_TRUE(fs::exists(out + "/report.html"));
  expect_refused(run("ddp_zero2", "--output " + out), "is there already");
  expect_refused(run("ddp_zero2", "--output " + file("other") + " -- --config=configs/zero1.json"),
                 "--config is what this experiment chooses");
}

TEST_F(JobsTest, FineTuningThenALinearProbe) {
  const std::string out = file("out");
  const CommandResult result = run("finetune_linprobe", "--np 2 --probe_epochs 3 --probe_batch_size 10 --output " +
                                                            out + " --" + model() + data_flags());
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(column(out + "/probe/log.txt", "epoch").size(), 3U);
  const Json args = Json::parse(read_file(out + "/probe/args.json"));
  EXPECT_EQ(args["opt"], "lars") << "as configs/zero2_linprobe.json says";
  EXPECT_EQ(args["warmup_epochs"], 0) << "a ninth of three epochs";
  EXPECT_NE(result.output.find("linear probe of it      " + column(out + "/probe/log.txt", "test_acc1").back()),
            std::string::npos)
      << result.output;
}

TEST_F(JobsTest, PretrainedAgainstRandom) {
  ASSERT_EQ(run("finetune_linprobe",
                "--probe_epochs 1 --probe_batch_size 20 --output " + file("first") + " --" + model() + data_flags())
                .status,
            0);
  ASSERT_EQ(tessera_ckpt("consolidate " + file("first/finetune/checkpoint-final") + " --output " + file("hub")).status,
            0);
  const std::string out = file("out");
  const std::string flags = " -- --pretrained_model_path " + file("hub") + data_flags();
  const CommandResult result = run("pretrained_random", "--np 2 --output " + out + flags);
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(Json::parse(read_file(out + "/random/args.json"))["random_init"], true);
  EXPECT_EQ(Json::parse(read_file(out + "/pretrained/args.json"))["load_pretrained"], true);
  EXPECT_NE(column(out + "/random/steps.jsonl", "loss"), column(out + "/pretrained/steps.jsonl", "loss"));
  expect_refused(run("pretrained_random", "--output " + file("other")), "--pretrained_model_path DIR is missing");
}

TEST_F(JobsTest, Resuming) {
  for (const std::string& then : {std::string(), std::string("--then_np 1 ")}) {
    const std::string out = file("out" + then.substr(0, 2));
    const CommandResult result = run("resume", "--np 2 " + then + "--output " + out + " --" + model() + data_flags());
    ASSERT_EQ(result.status, 0) << result.output;
    const auto whole = column(out + "/whole/steps.jsonl", "loss");
    const auto resumed = column(out + "/resumed/steps.jsonl", "loss");
    ASSERT_EQ(resumed.size(), 16U);
    if (then.empty()) {
      EXPECT_EQ(resumed, whole) << "on as many ranks to the last bit";
    } else {
      const Json compared = Json::parse(tessera("compare --json " + out + "/whole " + out + "/resumed").output);
      EXPECT_TRUE(compared["by_step"]["loss"]["part_at"].is_null()) << "the same but for rounding";
    }
    EXPECT_TRUE(fs::exists(out + "/resumed/checkpoint-step-8")) << "the stop left it";
    EXPECT_TRUE(fs::exists(out + "/curves.svg"));
  }
  expect_refused(run("resume", "--then_np 3 --output " + file("other") + " --" + model() + data_flags()),
                 "does not divide the 10 images");
}

// Three rows are run on the CPU; from there is nothing to offload, so that two are the plan's.
TEST_F(JobsTest, MemoryTable) {
  const std::string out = file("out");
  const std::string flags = model() + data_flags();
  const CommandResult result =
      run("memory_table", "--np 2 --steps 2 --output " + out + " --" + flags + " --gpu_memory 8GiB");
  ASSERT_EQ(result.status, 0) << result.output;
  const std::string table = read_file(out + "/memory_table.md");
  EXPECT_NE(result.output.find(table), std::string::npos) << "it is printed: " << result.output;
  const std::string number = "[0-9]+\\.[0-9]+";
  const std::string planned = " \\| " + number + " \\(plan\\) \\| [1-9][0-9]* \\(plan\\) \\| ";
  for (const char* const title : {"data parallel", "ZeRO-2", "ZeRO-2, recompute"}) {
    const std::regex row("\n\\| " + std::string(title) + " \\| " + number + planned + number + " \\| " + number +
                         " \\|\n");
    EXPECT_TRUE(std::regex_search(table, row)) << title << " was run:\n" << table;
  }
  for (const char* const title : {"ZeRO-2, offload", "ZeRO-2, offload, recompute"}) {
    const std::regex row("\n\\| " + std::string(title) + " \\| " + number + " \\(plan\\)" + planned + "- \\| - \\|\n");
    EXPECT_TRUE(std::regex_search(table, row)) << title << " was planned:\n" << table;
  }
  EXPECT_NE(table.find(" | 1.00 |"), std::string::npos) << "the first of the first";
  EXPECT_EQ(Json::parse(read_file(out + "/zero2.run.json"))["steps"], 2);
  const CommandResult small =
      run("memory_table", "--np 2 --output " + file("small") + " --" + flags + " --gpu_memory 10000");
  ASSERT_EQ(small.status, 0) << small.output;
  EXPECT_FALSE(fs::exists(file("small/ddp.run.json"))) << "it does not fit";
  expect_refused(run("memory_table", "--output " + file("other") + " -- --zero_stage 2"),
                 "--zero_stage is what this experiment chooses");
  expect_refused(run("memory_table", "--steps 0 --output " + file("other")), "--steps must be a whole number above 0");
}

TEST_F(JobsTest, HelpAndMistakes) {
  for (const std::string& experiment : kExperiments) {
    const CommandResult help = run(experiment, "--help");
    EXPECT_EQ(help.status, 0) << help.output;
    EXPECT_TRUE(help.output.starts_with("usage: jobs/" + experiment + ".sh")) << help.output;
    EXPECT_NE(help.output.find("default: results/" + experiment), std::string::npos) << help.output;
    expect_refused(run(experiment, "--np 0"), "--np must be a whole number above 0");
    expect_refused(run(experiment, "--bathc 3"), "unknown option --bathc");
    expect_refused(run(experiment, "--np"), "--np needs a value");
  }
  // The first failure ends it: no second run is begun.
  const std::string out = file("out");
  const CommandResult failed = run("ddp_zero2", "--output " + out + " --" + model() + data_flags() + " --smoothing 2");
  EXPECT_EQ(failed.status, 2) << failed.output;
  EXPECT_NE(failed.output.find("--smoothing"), std::string::npos);
  EXPECT_FALSE(fs::exists(out + "/zero2"));
}

}  // namespace
}  // namespace tessera::test

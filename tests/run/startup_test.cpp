// How often a run opens the files that it starts from: a shared file system hears of every open.
#include "support/small_run.hpp"
#include "support/two_nodes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>

namespace tessera::test {
namespace {

// A run on this data set that has ended, and its weights.
class StartupTest : public testing::Test {
 protected:
  void SetUp() override {
    write_small_dataset(data_, 40, 10);
    const CommandResult first = finetune(1, data_, scratch_.file("first"), kFlags + " --batch_size 8");
    ASSERT_EQ(first.status, 0) << first.output;
    pretrained_ = scratch_.file("pretrained");
    const CommandResult made =
        tessera_ckpt("consolidate " + scratch_.file("first/checkpoint-final") + " --output " + pretrained_);
    ASSERT_EQ(made.status, 0) << made.output;
  }

  // Words before a program whose opens are to be counted.
  [[nodiscard]] std::string counting() const {
    return "timeout -k 5 120 env TESSERA_COUNT_BELOW=" + scratch_.path() + " TESSERA_COUNT_TO=" + scratch_.path() +
           "-opens LD_PRELOAD=" + TESSERA_COUNT_OPENS + " ";
  }

  // Words that finetune on the data set above, and count.
  [[nodiscard]] std::string counted(const std::string& launcher, const std::string& flags) const {
    return counting() + launcher + TESSERA_BIN + " finetune --device cpu --dataset fashion-mnist --data_path " + data_ +
           " --input_size 28 --patch_size 7 --num_workers 1 " + kFlags + " " + flags;
  }

  // How many of the opens since the last question were of a file so named.
  int opens_of(const std::string& name) {
    std::istringstream lines(read_file(scratch_.path() + "-opens"));
    int count = 0;
    for (std::string line; std::getline(lines, line);) {
      count += line.ends_with("/" + name) ? 1 : 0;
    }
    return count;
  }
  void forget() { run_command("rm -f " + scratch_.path() + "-opens"); }
  void TearDown() override { forget(); }

  static inline const std::string kFlags = "--epochs 1 --warmup_epochs 0 --min_lr 0";
  ScratchDirectory scratch_;
  std::string data_ = scratch_.file("data");
  std::string pretrained_;
};

std::string on_this_node(int ranks) {
  return std::string(TESSERA_MPIEXEC) + " --oversubscribe -n " + std::to_string(ranks) + " ";
}

TEST_F(StartupTest, OpensPretrainedWeightsOnceANode) {
  const std::string flags =
      "--batch_size 2 --max_steps 1 --zero_stage 2 --load_pretrained --pretrained_model_path " + pretrained_;
  for (const int ranks : {1, 4}) {
    const CommandResult result = run_command(counted(ranks == 1 ? "" : on_this_node(ranks), flags));
    ASSERT_EQ(result.status, 0) << result.output;
    EXPECT_EQ(opens_of("model-00001-of-00001.safetensors"), 1) << ranks << " ranks\n" << result.output;
    forget();
  }
  const std::string two_nodes = mpirun_on_two_nodes(scratch_, TESSERA_MPIEXEC, 2);
  if (!two_nodes.empty()) {
    const std::string exported = "-x LD_PRELOAD -x TESSERA_COUNT_BELOW -x TESSERA_COUNT_TO ";
    const CommandResult result = run_command(counted(two_nodes + exported, flags));
    ASSERT_EQ(result.status, 0) << result.output;
    EXPECT_EQ(opens_of("model-00001-of-00001.safetensors"), 2) << "two nodes\n" << result.output;
  }
}

TEST_F(StartupTest, OpensACheckpointAsOftenForFourRanksAsForOne) {
  int opens_by_one = 0;
  for (const int ranks : {1, 4}) {
    const CommandResult result = run_command(
        counted(ranks == 1 ? "" : on_this_node(ranks),
                "--model_config " + data_ + "/model.json --eval --zero_stage 0 --resume " +
                    scratch_.file("first/checkpoint-final") + " --batch_size " + std::to_string(8 / ranks)));
    ASSERT_EQ(result.status, 0) << result.output;
    const int opens = opens_of("state.h5") + opens_of("manifest.json");
    EXPECT_GT(opens, 0);
    opens_by_one = ranks == 1 ? opens : opens_by_one;
    EXPECT_EQ(opens, opens_by_one) << ranks << " ranks\n" << result.output;
    forget();
  }
}

TEST_F(StartupTest, ListsAnImageFolderAsOftenForFourRanksAsForOne) {
  const std::string folder = scratch_.file("images");
  const std::string picture = std::string(TESSERA_TEST_DATA) + "/images/color.png";
  ASSERT_EQ(run_command("for part in train val; do for class in cat dog; do mkdir -p " + folder +
                        "/$part/$class && for i in 0 1 2 3; do cp " + picture + " " + folder +
                        "/$part/$class/$i.png; done; done; done")
                .status,
            0);
  int opens_by_one = 0;
  for (const int ranks : {1, 4}) {
    const std::string launcher = ranks == 1 ? "" : on_this_node(ranks);
    const CommandResult result = run_command(
        counting() + launcher + TESSERA_BIN + " finetune --device cpu --dataset imagefolder --data_path " + folder +
        " --model_config " + data_ + "/model.json --input_size 28 --patch_size 7 --num_workers 1 --max_steps 1 " +
        kFlags + " --batch_size " + std::to_string(4 / ranks));
    ASSERT_EQ(result.status, 0) << result.output;
    const int opens = opens_of("cat");
    EXPECT_GT(opens, 0);
    opens_by_one = ranks == 1 ? opens : opens_by_one;
    EXPECT_EQ(opens, opens_by_one) << ranks << " ranks\n" << result.output;
    forget();
  }
}

// docs/scaling.md shows the output of commands that it shows: the tables of predicted steps are the program's.
TEST(ScalingDocument, ShowsWhatThePlanPredicts) {
  const std::string document = read_file(TESSERA_SCALING_DOCUMENT);
  int num_commands = 0;
  const std::string prompt = "$ tessera ";
  for (std::size_t at = document.find(prompt); at != std::string::npos; at = document.find(prompt, at + 1)) {
    const std::size_t begin = at + prompt.size();
    const std::size_t end = document.find('\n', begin);
    const CommandResult result = tessera(document.substr(begin, end - begin));
    ASSERT_EQ(result.status, 0) << result.output;
    const std::string table = result.output.substr(result.output.find("  predicted, "));
    EXPECT_EQ(document.substr(end + 1, table.size()), table);
    ++num_commands;
  }
  EXPECT_EQ(num_commands, 2);
}

}  // namespace
}  // namespace tessera::test

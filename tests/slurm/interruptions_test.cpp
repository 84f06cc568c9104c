// What ends jobs for good before their time, under a real Slurm. rounds.sh is about those that go on.
#include "support/slurm_test.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace tessera::test {
namespace {

namespace fs = std::filesystem;

class InterruptionsTest : public SlurmTest {
 protected:
  /// Flags of a run that takes some seconds, and how far it has come.
  [[nodiscard]] std::string flags_of(const std::string& run, int epochs) const {
    return flags("--blr 0.02 --seed 4 --keep_last 2 --save_every_epochs 5 --epochs " + std::to_string(epochs)) +
           " --output_dir " + file(run);
  }
  [[nodiscard]] bool has_stepped(const std::string& run) const {
    return fs::exists(file(run) + "/steps.jsonl") && !column(file(run) + "/steps.jsonl", "step").empty();
  }
  [[nodiscard]] static std::string ranks() { return cluster().run("pgrep -x tessera").output; }

  /// A job of a run that would go on for long, as it makes its first steps.
  [[nodiscard]] std::string long_job(const std::string& run) const {
    const std::string id = cluster().id_of(cluster().submit("multi_node -- " + flags_of(run, 10000)));
    EXPECT_TRUE(becomes_true([&] { return has_stepped(run); }, 120)) << cluster().log(id);
    return id;
  }
  static void expect_no_ranks() {
    EXPECT_TRUE(becomes_true([] { return ranks().empty(); }, 30)) << "left over: " << ranks();
  }
};

TEST_F(InterruptionsTest, ScancelLeavesACheckpointAndNoProcess) {
  const std::string id = long_job("run");
  ASSERT_EQ(cluster().run("scancel " + id).status, 0);
  EXPECT_EQ(cluster().ended(id).at("JobState"), "CANCELLED") << cluster().log(id);
  expect_no_ranks();
  EXPECT_TRUE(fs::exists(file("run/latest"))) << cluster().log(id);
  EXPECT_FALSE(fs::exists(file("run/restarts.txt"))) << "what was cancelled stays so";
}

TEST_F(InterruptionsTest, ADeadRankEndsTheJobAtOnce) {
  const std::string id = long_job("run");
  ASSERT_EQ(cluster().run("pkill --newest -KILL -x tessera").status, 0);
  EXPECT_TRUE(becomes_true([&] { return cluster().job(id)["JobState"] == "FAILED"; }, 30)) << cluster().log(id);
  EXPECT_EQ(cluster().job(id)["ExitCode"], "137:0") << cluster().log(id);
  expect_no_ranks();
}

}  // namespace
}  // namespace tessera::test

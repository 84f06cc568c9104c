// A rank that is killed or stopped in the middle of training takes all others with it, and the run goes on as if
// nothing had been.
#include "support/small_run.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tessera::test {
namespace {

constexpr int kRanks = 3;

// 210 images, 42 a step, of 49 tokens each.
class DeadRankTest : public testing::Test {
 protected:
  void SetUp() override { write_small_dataset(data(), 210, 30); }
  [[nodiscard]] std::string data() const { return scratch_.file("data"); }
  [[nodiscard]] std::string out(const std::string& name) const { return scratch_.file(name); }

  [[nodiscard]] CommandResult run(const std::string& output, const std::string& flags) const {
    return finetune(kRanks, data(), out(output),
                    "--input_size 28 --patch_size 4 --zero_stage 2 --epochs 8 --batch_size 14 --save_every_steps 3 "
                    "--save_every_epochs 0 --keep_last 2 --heartbeat_timeout 4 " +
                        flags);
  }

  // Process ids of the run's ranks.
  [[nodiscard]] std::vector<std::string> ranks() const {
    std::istringstream words(run_command("pgrep -f '^[^ ]*tessera finetun[e].*" + data() + "'").output);
    return {std::istream_iterator<std::string>(words), {}};
  }
  [[nodiscard]] std::size_t num_steps(const std::string& output) const {
    const std::string log = out(output) + "/steps.jsonl";
    return std::filesystem::exists(log) ? column(log, "step").size() : 0;
  }

  // Runs on from wherever it is, until `steps` steps are logged; then the signal for the rank. Its exit status and what
  // it said.
  [[nodiscard]] CommandResult run_hit(const std::string& output, const std::string& signal, std::size_t rank,
                                      std::size_t steps) const {
    CommandResult result;
    std::thread runner([&] { result = run(output, "--resume auto"); });
    while (num_steps(output) < steps || ranks().size() < kRanks) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    run_command("kill -" + signal + " " + ranks()[rank]);
    runner.join();
    return result;
  }

  ScratchDirectory scratch_;
};

TEST_F(DeadRankTest, AllEndAndTheRunGoesOn) {
  const CommandResult whole = run("whole", "");
  ASSERT_EQ(whole.status, 0) << whole.output;
  EXPECT_NE(whole.output.find("epoch 7: a step without waiting for other ranks takes "), std::string::npos)
      << whole.output;
  ASSERT_EQ(run("parts", "--max_steps 2").status, 0);
  std::size_t steps = 6;
  const std::vector<std::pair<std::string, std::size_t>> hits{{"STOP", 2}, {"STOP", 0}, {"KILL", 1}, {"KILL", 0}};
  for (const auto& [signal, rank] : hits) {
    const auto start = std::chrono::steady_clock::now();
    const CommandResult result = run_hit("parts", signal, rank, steps);
    EXPECT_NE(result.status, 0) << result.output;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(55)) << "before mpirun's time-out";
    EXPECT_TRUE(ranks().empty()) << "processes are left";
    if (signal == "STOP") {
      EXPECT_EQ(result.status, 1) << result.output;
      EXPECT_NE(result.output.find(" has given no sign of life for "), std::string::npos) << result.output;
      EXPECT_NE(result.output.find(": does not answer; was last in step "), std::string::npos) << result.output;
    } else {
      EXPECT_NE(result.output.find("rank " + std::to_string(rank) + " "), std::string::npos) << result.output;
    }
    steps += 7;
  }
  const CommandResult result = run("parts", "--resume auto");
  ASSERT_EQ(result.status, 0) << result.output;
  for (const std::string key : {"step", "loss", "grad_norm"}) {
    EXPECT_EQ(column(out("whole") + "/steps.jsonl", key), column(out("parts") + "/steps.jsonl", key)) << key;
  }
  const CommandResult difference =
      tessera_ckpt("diff " + out("whole") + "/checkpoint-final " + out("parts") + "/checkpoint-final");
  EXPECT_EQ(difference.status, 0) << difference.output;
}

}  // namespace
}  // namespace tessera::test

// Real processes under mpirun, one of them killed before each of its steps in turn.
#include "support/sample_state.hpp"
#include "support/scratch.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/restore.hpp"
#include "tessera/checkpoint/run_directory.hpp"

#include <gtest/gtest.h>

#include <string>

namespace tessera::checkpoint {
namespace {

constexpr int kRanks = 2;
constexpr int kNever = 1000000;

// mpirun ends the other ranks at once instead of giving them a second.
test::CommandResult run_worker(const std::string& run_dir, int victim, int step, const std::string& way) {
  return test::run_command(TESSERA_MPIEXEC " --mca odls_base_sigkill_timeout 0 --oversubscribe -n " +
                           std::to_string(kRanks) + " " TESSERA_KILL_WORKER " " + run_dir + " " +
                           std::to_string(victim) + " " + std::to_string(step) + " " + way);
}

int num_steps(const std::string& output, int rank) {
  const std::string label = "rank " + std::to_string(rank) + ": ";
  const std::size_t found = output.find(label);
  return found == std::string::npos ? 0 : std::stoi(output.substr(found + label.size()));
}

void expect_whole(const std::string& run_dir, const std::string& when) {
  recover(run_dir);
  const auto latest = find_latest(run_dir);
  ASSERT_TRUE(latest.has_value()) << when;
  const Reader reader(*latest);
  EXPECT_TRUE(reader.verify().empty()) << when;
  const auto step = static_cast<int>(reader.run_state().global_step);
  test::SampleState state(0, 1, {.salt = step});
  state.clear();
  restore(*latest, state.description(), topology::Group::self(), {});
  EXPECT_EQ(state.find_difference(), "") << when;
  for (const std::string& name : test::list_directory(run_dir)) {
    EXPECT_TRUE(name == "latest" || name.starts_with("checkpoint-")) << when << ": " << name << " is left";
  }
}

class Kill : public testing::TestWithParam<const char*> {};

TEST_P(Kill, OfAnyRankAtAnyStepLeavesAWholeCheckpoint) {
  const test::ScratchDirectory first;
  const auto whole = run_worker(first.path(), 0, kNever, GetParam());
  ASSERT_EQ(whole.status, 0) << whole.output;
  EXPECT_EQ(find_latest(first.path()), first.file("checkpoint-2"));
  for (int victim = 0; victim < kRanks; ++victim) {
    const int steps = num_steps(whole.output, victim);
    ASSERT_GT(steps, 5) << whole.output;
    // Writes of state.h5 are many and alike: after the first few, every fourth.
    for (int step = 0; step<steps; step += step> 8 && step + 16 < steps ? 4 : 1) {
      const test::ScratchDirectory scratch;
      const auto killed = run_worker(scratch.path(), victim, step, GetParam());
      EXPECT_NE(killed.status, 0) << "rank " << victim << ", step " << step;
      expect_whole(scratch.path(), "rank " + std::to_string(victim) + " killed before step " + std::to_string(step));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Saves, Kill, testing::Values("plain", "async"),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace
}  // namespace tessera::checkpoint

// Ranks that are stopped or stuck are noticed and named, and all of them end.
#include "support/scratch.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace tessera::test {
namespace {

CommandResult run_worker(int ranks, const std::string& trouble) {
  return run_command("timeout -k 5 60 " + std::string(TESSERA_MPIEXEC) + " --oversubscribe -n " +
                     std::to_string(ranks) + " " + TESSERA_WATCHDOG_WORKER + " " + trouble);
}

void expect_alarm(int ranks, const std::string& trouble, const std::string& words) {
  const CommandResult result = run_worker(ranks, trouble);
  EXPECT_EQ(result.status, 1) << trouble << "\n" << result.output;
  EXPECT_NE(result.output.find(words), std::string::npos) << trouble << "\n" << result.output;
  std::size_t alarms = 0;
  for (std::size_t at = result.output.find("[watch]"); at != std::string::npos;
       at = result.output.find("[watch]", at + 1)) {
    ++alarms;
  }
  EXPECT_EQ(alarms, 1U) << "one rank speaks: " << result.output;
  EXPECT_NE(run_command("pgrep -f '^" + std::string(TESSERA_WATCHDOG_WORKER) + " " + trouble + "'").status, 0)
      << "processes are left";
}

TEST(Watchdog, NamesARankThatIsStopped) {
  expect_alarm(2, "stopped_last", "[watch] rank 1 on ");
  expect_alarm(3, "stopped_first", "[watch] rank 0 on ");
}

TEST(Watchdog, SaysWhoIsBehindWhereAllWait) {
  const CommandResult result = run_worker(3, "stuck");
  EXPECT_EQ(result.status, 1) << result.output;
  EXPECT_NE(result.output.find(" has waited for 4 s in MPI_Barrier, longer than --collective_timeout"),
            std::string::npos)
      << result.output;
  EXPECT_LT(result.output.find("(GPU 7): step 2, micro-step 0, backward; works for "),
            result.output.find("step 3, micro-step 0, backward; waits for "))
      << "the one that is behind comes first: " << result.output;
}

TEST(Watchdog, TellsOfADeviceThatFailed) {
  expect_alarm(2, "device", "failed: a link is down");
  expect_alarm(2, "device_and_destructor", "failed: a link is down");
}

TEST(Watchdog, EndsInWordsWhereADestructorThrows) {
  const CommandResult result = run_worker(1, "device_and_destructor");
  EXPECT_EQ(result.status, 1) << result.output;
  EXPECT_NE(result.output.find(" (GPU 7)] no event can be recorded\n"), std::string::npos) << result.output;
  EXPECT_EQ(result.output.find("in many lines"), std::string::npos) << result.output;
}

TEST(Watchdog, AJobThatIsStoppedAsAWholeGoesOn) {
  const CommandResult result = run_worker(2, "all_stopped");
  EXPECT_EQ(result.status, 0) << result.output;
}

TEST(Watchdog, ARankMayLeaveBeforeTheOthers) {
  const CommandResult result = run_worker(3, "leaves_early");
  EXPECT_EQ(result.status, 0) << result.output;
}

}  // namespace
}  // namespace tessera::test
